"""Many tables are probed in one statement, which is sure of less than their own probes are."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

import psycopg2
import pytest

from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.probe import probe_settled, settled_table
from lakefeed.loading.probe_many import probe_many
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.orchestration.checks.audit import at_one_snapshot
from lakefeed.orchestration.ingest.live_tables import LiveTables
from tests.conftest import Database, Lake
from tests.integration.test_workers import declare_many, needs_workers

pytestmark = [pytest.mark.builds, pytest.mark.at_night]

NAMES = ("a", "b")
A, B = "shop__a", "shop__b"
AT = "timestamptz '2026-01-01Z' + i * interval '1 hour'"
LOOKBACK = "cursor: at, lookback: 10h"

Found = Mapping[str, LoadResult | None]


def create(database: Database, kind: str = "timestamptz", value: str = AT) -> None:
    for name in NAMES:
        database.execute(
            f"create table {name} (id int primary key, at {kind}, word text)",
            f"insert into {name} select i, {value}, 'w' from generate_series(1, 200) i",
        )


def declare(lake: Lake, declared: str = LOOKBACK) -> Lake:
    return lake.declare("\n".join(f"{name}: {{{declared}}}" for name in NAMES))


@pytest.fixture
def loaded(database: Database, lake: Lake) -> Lake:
    """Two tables without news, whose last loads were not their first: these read a window."""
    create(database)
    declare(lake).load()
    database.execute(*(f"insert into {name} values (201, '2026-02-01Z', 'w')" for name in NAMES))
    lake.load()
    return lake


@contextmanager
def at_snapshot(lake: Lake) -> Iterator[tuple[SourceAtSnapshot, LiveTables]]:
    with at_one_snapshot(lake.project, "shop") as (source, live):
        yield source, LiveTables(lake.project, "shop", live)


def found_at(lake: Lake, source: SourceAtSnapshot, now: LiveTables) -> Found:
    plans = [now.plan(table) for table in now.of_source()]
    looked_at = [settled_table(lake.project, one, source.snapshot, LoadOptions()) for one in plans]
    return probe_many(source, [table for table in looked_at if table])


def found_in(lake: Lake) -> Found:
    with at_snapshot(lake) as (source, now):
        return found_at(lake, source, now)


def found_alone(lake: Lake, name: str) -> LoadResult | None:
    """What the table's own probe finds."""
    with at_snapshot(lake) as (source, now):
        plan = next(now.plan(t) for t in now.of_source() if t.lake_name == name)
        table = settled_table(lake.project, plan, source.snapshot, LoadOptions())
        assert table is not None
        with TableSession(source, plan) as opened:
            return probe_settled(table, opened)


def is_unchanged(found: LoadResult | None) -> bool:
    return found is not None and not found.rows


@pytest.mark.parametrize(
    ("kind", "value", "declared"),
    [
        ("timestamptz", AT, LOOKBACK),
        ("timestamptz", AT, "cursor: {column: at, initial_value: 2026-01-05}, lookback: 10d"),
        ("timestamp(3)", AT, "cursor: {column: at, timezone: Europe/Paris}, lookback: 10h"),
        ("date", "date '2026-01-01' + i", "cursor: at, lookback: 5d"),
        ("bigint", "i", "cursor: at, lookback: 30"),
        ("bigint", "i", "cursor: xmin"),
    ],
)
def test_tables_without_news_are_told_as_by_their_own_probes(
    database: Database, lake: Lake, kind: str, value: str, declared: str
) -> None:
    create(database, kind, value)
    declare(lake, declared).load()

    found = found_in(lake)

    alone = found_alone(lake, A)
    assert found.keys() == {A, B}
    assert is_unchanged(found[A])
    assert found[A] and alone
    assert found[A].rows_read == alone.rows_read
    assert found[A].checkpoint == alone.checkpoint


def test_tables_are_told_after_a_load_that_read_a_window(loaded: Lake) -> None:
    assert [is_unchanged(result) for result in found_in(loaded).values()] == [True, True]


def test_a_cursor_above_those_of_all_loads_is_news(database: Database, loaded: Lake) -> None:
    database.execute("insert into a values (202, '2026-02-02Z', 'w')")

    found = found_in(loaded)

    assert found[A] is None
    assert is_unchanged(found[B])


@pytest.mark.parametrize(
    "change",
    [
        "insert into a values (202, '2026-01-31 23:00Z', 'late')",
        "update a set word = 'other' where id = 201",
        "update a set at = '2026-01-31 23:00Z' where id = 1",
        "insert into a values (202, null, 'w')",
        "insert into a values (202, 'infinity', 'w')",
        "delete from a where id = 201",
        "alter table a add note text default 'x'",
        "alter table a alter word type varchar(9)",
        "begin; alter table a rename to c; create table a (like c including all);"
        " insert into a select * from c; commit",
        "truncate a",
        "vacuum full a",
    ],
)
def test_a_change_in_the_window_is_never_taken_for_nothing_new(
    database: Database, loaded: Lake, change: str
) -> None:
    database.execute(change)

    found = found_in(loaded)

    assert not is_unchanged(found.get(A))
    assert is_unchanged(found[B])


def test_rows_that_commit_late_are_left_to_a_comparison_and_loaded(
    database: Database, loaded: Lake
) -> None:
    with closing(psycopg2.connect(database.url)) as late, late.cursor() as cursor:
        cursor.execute("insert into a values (202, '2026-01-31 23:30Z', 'late')")
        database.execute("insert into a values (203, '2026-02-01 01:00Z', 'w')")
        loaded.load()
        assert (202,) not in loaded.raw(A, "id")
        late.commit()

    assert A not in found_in(loaded)
    loaded.load()
    assert (202,) in loaded.raw(A, "id")


def test_a_window_that_reaches_further_back_is_compared(database: Database, loaded: Lake) -> None:
    """A row below the newest load's window was never read, and was written before that load."""
    database.execute(
        "insert into a values (202, '2026-01-05Z', 'missed')",
        "insert into a values (203, '2026-02-02Z', 'w')",
    )
    loaded.load()
    assert (202,) not in loaded.raw(A, "id")
    declare(loaded, "cursor: at, lookback: 30d")

    assert A not in found_in(loaded)
    loaded.load()
    assert (202,) in loaded.raw(A, "id")


def test_rows_without_a_cursor_are_compared_since_they_may_have_been_excluded(
    database: Database, loaded: Lake
) -> None:
    declare(loaded, f"{LOOKBACK}, on_null_cursor: exclude")
    database.execute(
        "insert into a values (202, null, 'w')", "insert into a values (203, '2026-02-02Z', 'w')"
    )
    loaded.load()
    declare(loaded)

    assert A not in found_in(loaded)


@pytest.mark.parametrize(
    ("definition", "declared"),
    [
        ("create table a (id int primary key, at int)", "cursor: at, where: id < (select 500)"),
        ("create table a (id int primary key, at int)", "mode: full_refresh"),
        ("create table a (id int primary key, at int)", "cursor: at, deletes: remove"),
        ("create table a (id int primary key, at int)", "cursor: at, max_lock_wait: 5s"),
        (
            "create table a (id int primary key, at int, twice int generated always as (at * 2)"
            " stored)",
            "cursor: at",
        ),
        ("create table a (id int primary key, at int, it regclass)", "cursor: at"),
        ("create table a (id int primary key, at int) partition by hash (id)", "cursor: at"),
        (
            "create table t (id int, at int); create view a as select * from t",
            "cursor: at, primary_key: [id]",
        ),
    ],
)
def test_a_table_is_compared_if_more_than_its_rows_decides_what_is_read(
    database: Database, lake: Lake, definition: str, declared: str
) -> None:
    database.execute(definition)
    if "partition" in definition:
        database.execute("create table a1 partition of a for values with (modulus 1, remainder 0)")
    database.execute(
        "insert into a (id, at) select i, i from generate_series(1, 9) as i",
        "create table b (id int primary key, at int)",
        "insert into b select i, i from generate_series(1, 9) as i",
    )
    lake.declare(f"a: {{{declared}}}\nb: {{cursor: at}}").load()

    found = found_in(lake)

    assert A not in found
    assert is_unchanged(found[B])


def test_a_table_whose_raw_files_are_gone_is_compared(loaded: Lake) -> None:
    loaded.files(A)[-1].unlink()

    found = found_in(loaded)

    assert A not in found
    assert is_unchanged(found[B])


@pytest.mark.parametrize(
    "change",
    [
        "truncate a",
        "cluster a using a_pkey",
        "alter table a rename to c",
        "begin; alter table a rename to c; alter table b rename to a; alter table c rename to b;"
        " commit",
        "begin; alter table a rename word to x; alter table a rename at to word;"
        " alter table a rename x to at; commit",
        "alter table a rename word to sentence",
    ],
)
def test_a_table_that_ddl_changes_after_the_snapshot_is_left_to_its_own_probe(
    database: Database, loaded: Lake, change: str
) -> None:
    with at_snapshot(loaded) as (source, now):
        now.plan(now.of_source()[0])
        database.execute(change)

        assert not is_unchanged(found_at(loaded, source, now).get(A))


def test_no_table_waits_for_the_lock_of_another(
    database: Database, loaded: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long would it wait, which no slow machine takes otherwise.
    monkeypatch.setattr("lakefeed.loading.probe_many._TIMEOUT_MS", 60_000)
    with closing(psycopg2.connect(database.url)) as migration, migration.cursor() as cursor:
        cursor.execute("lock table a in access exclusive mode")
        with at_snapshot(loaded) as (source, now):
            began = time.monotonic()
            found = found_at(loaded, source, now)

    assert found == {}
    assert time.monotonic() - began < 30


def test_all_locks_are_released_at_once(database: Database, loaded: Lake) -> None:
    with at_snapshot(loaded) as (source, now):
        assert found_at(loaded, source, now).keys() == {A, B}

        database.execute("set lock_timeout = '1s'", "alter table a add note text")


@needs_workers
def test_a_run_of_many_tables_without_news_opens_no_session_for_a_table(
    database: Database, lake: Lake
) -> None:
    many = declare_many(database, lake)
    many.load()

    def sessions() -> int:
        query = "select sessions from pg_stat_database where datname = current_database()"
        return int(database.rows(query)[0][0])

    before = sessions()
    report = many.load()
    time.sleep(1)

    assert {table.status for table in report.tables} == {"unchanged"}
    assert [table.rows_read for table in report.tables] == [2] * len(report.tables)
    assert sessions() - before <= 3
