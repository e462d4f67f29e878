"""What staging and history make of any log, against what plain Python makes of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

import duckdb
import pytest
from duckdb import DuckDBPyConnection
from hypothesis import given, settings
from hypothesis import strategies as some

from tests.conftest import NIGHTLY
from tests.integration.test_macros import copied_project, dbt

MODELS = ("newest_change", "versions_of_changes")
BEGINNING = dt.datetime(1900, 1, 1, tzinfo=dt.UTC)
MICROSECOND = dt.timedelta(microseconds=1)
VERSIONS = (
    "id, word, valid_from, valid_to, is_current, loaded_at, _changed_at, _was_deleted, _dlt_load_id"
)

Row = tuple[object, ...]
# A key and its new word; no tuple for the word if the row was deleted.
Change = tuple[int, tuple[str | None] | None]


@dataclass(frozen=True)
class Transaction:
    """What one transaction changed, in its order, and when it says that it was committed.

    `begins_load`: it is the first in its load.
    """

    changes: Sequence[Change]
    committed_at: dt.datetime
    begins_load: bool


@dataclass(frozen=True)
class Reading:
    """The whole table is read, as it is by then."""


@dataclass
class Load:
    """A load as macros see it; `begins_build`: it is the first in its build."""

    snapshot_at: dt.datetime
    supersedes: bool
    begins_build: bool
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Event:
    """What is known of a key: that it had a word, or none, since when, and from which load."""

    word: tuple[str | None] | None
    at: dt.datetime
    load: int


def moment(microseconds: int) -> dt.datetime:
    return dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)


# So few moments that commits share them, seem to come before earlier ones, or before a snapshot.
moments = some.integers(0, 12).map(moment)
words = some.sampled_from(["a", "b", None])
changes = some.tuples(some.integers(1, 3), some.one_of(some.tuples(words), some.none()))
transactions = some.builds(
    Transaction, some.lists(changes, min_size=1, max_size=4), moments, some.booleans()
)
logs = some.lists(some.one_of(transactions, transactions, some.just(Reading())), max_size=8)


def loads_of(
    log: Sequence[Transaction | Reading], builds: Iterator[bool]
) -> tuple[list[Load], dict[int, list[Event]]]:
    """The loads that a log is read in, and what happened to each key, for plain Python."""
    loads: list[Load] = []
    events: dict[int, list[Event]] = {}
    state: dict[int, tuple[str | None]] = {}
    for lsn, step in enumerate([Reading(), *log], start=1):
        if isinstance(step, Reading):
            loads.append(Load(moment(10 * len(loads)), True, next(builds)))
            for key in {*events, *state}:
                seen = Event(state.get(key), loads[-1].snapshot_at, len(loads))
                events.setdefault(key, []).append(seen)
            loads[-1].rows += [(key, *word, None, None, None, None) for key, word in state.items()]
            continue
        if step.begins_load or loads[-1].supersedes:
            loads.append(Load(moment(10 * len(loads)), False, next(builds)))
        for position, (key, word) in enumerate(step.changes, start=1):
            at, is_gone = step.committed_at, word is None
            place = (lsn, position, at)
            loads[-1].rows.append((key, *(word or (None,)), at if is_gone else None, *place))
        # Of several changes of a row, the others were never visible.
        for key, word in dict(step.changes).items():
            events.setdefault(key, []).append(Event(word, step.committed_at, len(loads)))
            state.pop(key, None)
            state.update({key: word} if word else {})
    return loads, events


def versions_of(events: Sequence[Event], loads: Sequence[Load]) -> Iterator[Row]:
    """The versions of one key: word, periods, and what else history says."""
    changed: list[Event] = []
    for event in events:
        before = changed[-1].word if changed else None
        if event.word != before:
            changed.append(event)
    begins = [event.at for event in changed]
    for place in reversed(range(len(begins) - 1)):
        begins[place] = min(begins[place], begins[place + 1] - MICROSECOND)
    ends = [*begins[1:], None] if begins else []
    gone = [*(event.word is None for event in changed[1:]), False]
    for place, (event, begin, end) in enumerate(zip(changed, begins, ends, strict=True)):
        if event.word is not None:
            since = min(begin, BEGINNING) if place == 0 else begin
            loaded_at = loads[event.load - 1].snapshot_at
            yield (
                *event.word,
                *(since, end, end is None, loaded_at, begin, gone[place], str(event.load)),
            )


@pytest.fixture(scope="module")
def macros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Macros]:
    """The macros' SQL, and a database in which it can run."""
    project = copied_project(tmp_path_factory.mktemp("compiled"))
    ended = dbt(project, "compile", "--select", *MODELS)
    assert ended.returncode == 0, ended.stdout
    compiled = project / "target/compiled/macros/models"
    with duckdb.connect() as session:
        yield Macros(session, {name: (compiled / f"{name}.sql").read_text() for name in MODELS})


class Macros:
    """Runs the SQL of staging and history over loads, as the materializations do."""

    def __init__(self, session: DuckDBPyConnection, sql: dict[str, str]) -> None:
        self.session, self.sql = session, sql
        session.execute("set timezone = 'UTC'; attach ':memory:' as macros; use macros")
        session.execute(
            "create table raw_loads (position bigint, snapshot_at varchar, supersedes boolean);"
            "create table raw_changes (id integer, word varchar, _deleted_at timestamptz, "
            "_wal_lsn bigint, _wal_position bigint, _wal_committed_at timestamptz, "
            "_dlt_load_id varchar, _load_position bigint);"
            "create table known_versions_of_changes (id integer, word varchar, "
            "valid_from timestamptz, valid_to timestamptz, is_current boolean, "
            "loaded_at timestamptz, _changed_at timestamptz, _was_deleted boolean, "
            "_dlt_load_id varchar, _staged_batch bigint);"
            "create table staged (id integer, word varchar, _dlt_load_id varchar, "
            "_staged_batch bigint)"
        )

    def build(self, builds: Sequence[Sequence[tuple[int, Load]]]) -> None:
        """Builds both models from nothing, by these builds."""
        self.session.execute("truncate known_versions_of_changes; truncate staged")
        for build in builds:
            self._keep(build)
            self._stage(build)

    def versions(self) -> list[Row]:
        return self.session.execute(
            f"select {VERSIONS} from known_versions_of_changes order by id, valid_from"
        ).fetchall()

    def staged(self) -> list[Row]:
        return self.session.execute("select id, word from staged order by id").fetchall()

    def _keep(self, build: Sequence[tuple[int, Load]]) -> None:
        self._open(build)
        self.session.execute(
            f"create or replace temp table written as {self.sql['versions_of_changes']};"
            "delete from known_versions_of_changes where id in (select id from written);"
            "insert into known_versions_of_changes by name from written"
        )

    def _stage(self, build: Sequence[tuple[int, Load]]) -> None:
        whole = max((place for place, (_, load) in enumerate(build) if load.supersedes), default=-1)
        if whole >= 0:
            self.session.execute("truncate staged")
        self._open(build[max(whole, 0) :])
        self.session.execute(
            "delete from staged where id in (select id from raw_changes);"
            f"insert into staged by name {self.sql['newest_change']}"
        )

    def _open(self, build: Sequence[tuple[int, Load]]) -> None:
        self.session.execute("truncate raw_loads; truncate raw_changes")
        for position, (load_id, load) in enumerate(build, start=1):
            self.session.execute(
                "insert into raw_loads values ($1, $2, $3)",
                [position, load.snapshot_at.isoformat(), load.supersedes],
            )
            for row in load.rows:
                self.session.execute(
                    "insert into raw_changes values ($1, $2, $3, $4, $5, $6, $7, $8)",
                    [*row, str(load_id), position],
                )


@settings(max_examples=1000 if NIGHTLY else 40)
@given(logs, some.lists(some.booleans(), min_size=10, max_size=10))
def test_whatever_the_log_says_staging_and_history_are_what_it_says(
    macros: Macros, log: list[Transaction | Reading], begins: list[bool]
) -> None:
    loads, events = loads_of(log, iter(begins))
    numbered = list(enumerate(loads, start=1))
    starts = [place for place, load in enumerate(loads) if place == 0 or load.begins_build]
    builds = [numbered[a:b] for a, b in pairwise([*starts, len(loads)])]
    wanted = [
        (key, *version) for key in sorted(events) for version in versions_of(events[key], loads)
    ]
    rows = [(key, *now[-1].word) for key, now in sorted(events.items()) if now[-1].word]

    macros.build(builds)
    assert macros.versions() == wanted
    assert macros.staged() == rows

    macros.build([numbered])
    assert macros.versions() == wanted
    assert macros.staged() == rows
    for _, versions in groupby(wanted, key=lambda version: version[0]):
        assert_no_gaps_or_overlaps(list(versions))


def assert_no_gaps_or_overlaps(versions: Sequence[Row]) -> None:
    for one, following in pairwise(versions):
        assert one[2] < one[3] <= following[2]
        assert one[7] or one[3] == following[2]
