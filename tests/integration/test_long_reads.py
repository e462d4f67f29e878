"""Long reads tell how far they are: rows, bytes and the time left, as the source counts them."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import pytest
from rich.console import Console

from lakefeed.orchestration.reports.listener import LongRead, Silence
from lakefeed.render.progress import ProgressLines
from tests.conftest import Database, Lake, only

pytestmark = pytest.mark.builds

ROWS = 300
# Of which psycopg2 takes ten thousand at a time.
MANY_ROWS = 40_000
# A read of some four seconds.
SLOWLY = "where: pg_sleep(0.01) is not null"
AS_SLOWLY = "where: id % 150 > 0 or pg_sleep(0.01) is not null"

# Takes the server for one that doesn't count what it sends, as those before 14 don't.
UNCOUNTING = ("lakefeed.source.snapshot.COUNTS_SINCE", 9_999_999)


class Told(Silence):
    """Notes how far reads are, several times a second."""

    reads_every: float | None = 0.3

    def __init__(self) -> None:
        self.reads: list[LongRead] = []
        self.is_over = False

    def reading(self, reads: Sequence[LongRead]) -> None:
        self.reads += reads
        self.is_over = not reads


def create(database: Database, name: str, rows: int = ROWS) -> None:
    database.execute(
        f"create table {name} (id int primary key, at timestamptz not null default now())",
        f"insert into {name} select g from generate_series(1, {rows}) as g",
        f"analyze {name}",
    )


def test_a_long_read_tells_rows_bytes_and_the_time_left(database: Database, lake: Lake) -> None:
    create(database, "slow")
    told = Told()

    lake.declare(f"slow: {{cursor: at, {SLOWLY}}}").load(listener=told)

    rows = [read.rows for read in told.reads]
    last = told.reads[-1]
    assert len(rows) > 3
    assert rows == sorted(rows)
    assert 0 < last.rows <= ROWS
    assert last.name == "shop.slow"
    assert last.expected_rows is not None
    assert 0.9 * ROWS < last.expected_rows <= ROWS
    assert last.size > 20 * last.rows
    assert last.seconds_left is not None
    assert 0 <= last.seconds_left < 10


@pytest.mark.parametrize("parallel", [1, 2])
def test_so_it_does_if_the_server_does_not_count_what_it_sends(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch, parallel: int
) -> None:
    monkeypatch.setattr(*UNCOUNTING)
    create(database, "slow", MANY_ROWS)
    told = Told()

    slow = f"slow: {{cursor: at, parallel: {parallel}, {AS_SLOWLY}}}"
    loaded = only(lake.declare(slow).load(listener=told))

    rows = [read.rows for read in told.reads]
    last = told.reads[-1]
    assert len(set(rows)) > 2
    assert rows == sorted(rows)
    assert 0 < last.rows <= MANY_ROWS
    assert last.size > 5 * last.rows
    assert last.seconds_left is not None
    assert loaded.rows_written == MANY_ROWS


@pytest.mark.parametrize(
    ("head", "backend"), [("", "backend: psycopg2, "), ("    max_connections: 1\n", "")]
)
def test_so_it_does_if_psycopg2_reads(
    database: Database, lake: Lake, head: str, backend: str
) -> None:
    create(database, "slow", MANY_ROWS)
    told = Told()

    lake.declare(f"slow: {{cursor: at, {backend}{AS_SLOWLY}}}", head=head).load(listener=told)

    rows = [read.rows for read in told.reads]
    last = told.reads[-1]
    assert rows == sorted(rows)
    assert 0 < last.rows <= MANY_ROWS
    assert last.expected_rows is not None
    assert 0.9 * MANY_ROWS < last.expected_rows <= MANY_ROWS
    assert last.size > 20 * last.rows
    assert last.seconds_left is not None


@pytest.mark.at_night
def test_a_first_load_in_ranges_tells_which_one_it_reads(database: Database, lake: Lake) -> None:
    create(database, "slow")
    told = Told()

    lake.declare(f"slow: {{cursor: at, resume_above: 8 kB, {SLOWLY}}}").load(listener=told)

    notes = list(dict.fromkeys(read.note for read in told.reads))
    rows = [read.rows for read in told.reads]
    assert notes[0].startswith("range 1 of ")
    assert len(notes) > 2
    assert rows == sorted(rows)


@pytest.mark.by_day(1)
@pytest.mark.parametrize(
    ("backend", "counts"), [("duckdb", True), ("duckdb", False), ("psycopg2", True)]
)
def test_so_it_does_if_a_worker_reads_it(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch, backend: str, counts: bool
) -> None:
    if not counts:
        monkeypatch.setattr(*UNCOUNTING)
    monkeypatch.setattr(
        "lakefeed.orchestration.ingest.table_loads.usable_cores", lambda: 2, raising=True
    )
    names = [f"t{number}" for number in range(12)]
    for name in names:
        create(database, name)
    is_counted_by_server = backend == "duckdb" and counts
    slowly = SLOWLY if is_counted_by_server else AS_SLOWLY
    create(database, "slow", ROWS if is_counted_by_server else MANY_ROWS)
    tables = "\n".join(f"{name}: {{cursor: at}}" for name in names)
    told = Told()

    slow = f"slow: {{cursor: at, backend: {backend}, {slowly}}}"
    report = lake.declare(f"{tables}\n{slow}").load(listener=told)

    assert report.exit_code == 0
    assert max(read.rows for read in told.reads if read.name == "shop.slow") > 0


def test_short_reads_tell_nothing(database: Database, lake: Lake) -> None:
    create(database, "quick")
    told = Told()

    lake.declare("quick: {cursor: at}").load(listener=told)

    assert told.reads == []


def test_a_terminal_shows_a_bar(database: Database, lake: Lake) -> None:
    create(database, "slow")
    out = io.StringIO()
    lines = ProgressLines(Console(file=out, width=120, force_terminal=True, highlight=False))

    loaded = only(lake.declare(f"slow: {{cursor: at, {SLOWLY}}}").load(listener=lines))

    assert loaded.rows_written == ROWS
    assert "━" in out.getvalue()
    # The planner takes this `where` for true in 99.5 % of the rows.
    assert re.search(r"\d+ of about (298|299|300) rows, [\d.]+ k?B, \d+ s left", out.getvalue())
