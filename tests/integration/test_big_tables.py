"""Big tables are split into ranges and read by several sessions, with the same rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from lakefeed.orchestration.reports.run_report import RunReport
from tests.conftest import Database, Lake, failure, only

pytestmark = pytest.mark.builds

# About 80 MB: enough for two sessions.
BIG = (
    "create table big (id int primary key, n int, filler text, updated_at timestamptz)",
    "insert into big select i, 0, repeat(md5(i::text), 25), "
    "timestamptz '2026-01-01' + i * interval '1 second' from generate_series(1, 90_000) as i",
    "analyze big",
)


@contextmanager
def watching(database: Database) -> Iterator[list[int]]:
    """The numbers of sessions seen copying at the same time, one for each check."""
    seen: list[int] = []
    done = threading.Event()

    def watch() -> None:
        session = database.connect()
        session.autocommit = True
        with session.cursor() as cursor:
            while not done.is_set():
                cursor.execute(
                    "select count(*) from pg_stat_activity where state = 'active' "
                    "and query ilike 'copy%%' and application_name = 'lakefeed shop__big'"
                )
                seen.append(cursor.fetchone()[0])
                time.sleep(0.002)
        session.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


@contextmanager
def moving_rows(database: Database) -> Iterator[None]:
    """A writer that keeps moving rows to other pages."""
    done = threading.Event()

    def write() -> None:
        session = database.connect()
        session.autocommit = True
        with session.cursor() as cursor:
            while not done.is_set():
                cursor.execute("update big set n = n + 1 where id % 97 = 0")
        session.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()


def test_a_big_table_is_loaded_as_one_load_with_several_files(
    database: Database, lake: Lake
) -> None:
    database.execute(*BIG)

    loaded = only(lake.declare("big: {cursor: updated_at}").load())

    assert loaded.rows_written == 90_000
    assert len(lake.files("shop__big")) == 2
    assert lake.raw("shop__big", "count(distinct id), count(distinct _dlt_load_id)") == [
        (90_000, 1)
    ]
    assert loaded.checkpoint == "2026-01-02 01:00:00+00:00"


def test_rows_that_move_during_the_read_are_read_exactly_once(
    database: Database, lake: Lake
) -> None:
    database.execute(*BIG)
    lake.declare("big: {cursor: updated_at}")

    with moving_rows(database):
        only(lake.load())

    assert lake.raw("shop__big", "count(*), count(distinct id), count(distinct n) < 3") == [
        (90_000, 90_000, True)
    ]


@pytest.mark.parametrize(("parallel", "files"), [(1, 1), (2, 2)])
def test_parallel_sets_the_number_of_sessions(
    database: Database, lake: Lake, parallel: int, files: int
) -> None:
    database.execute(*BIG)
    lake.declare(f"big: {{cursor: updated_at, parallel: {parallel}}}")

    with watching(database) as seen:
        lake.load()

    assert max(seen) == parallel
    assert len(lake.files("shop__big")) == files


def test_all_rows_of_a_partitioned_table_are_loaded(database: Database, lake: Lake) -> None:
    database.execute(
        "create table big (id int, n int, filler text, updated_at timestamptz, primary key (id)) "
        "partition by range (id)",
        "create table big_1 partition of big for values from (0) to (30_000)",
        "create table big_2 partition of big for values from (30_000) to (90_001)",
        *BIG[1:],
    )

    lake.declare("big: {cursor: updated_at}").load()

    assert len(lake.files("shop__big")) == 2
    assert lake.raw("shop__big", "count(*), count(distinct id)") == [(90_000, 90_000)]


def test_a_view_is_read_by_one_query(database: Database, lake: Lake) -> None:
    database.execute(*BIG, "create view all_of_it as table big")

    lake.declare("all_of_it: {cursor: updated_at, primary_key: id}").load()

    assert len(lake.files("shop__all_of_it")) == 1


def test_a_full_refresh_of_a_big_table_is_read_in_ranges(database: Database, lake: Lake) -> None:
    database.execute(*BIG)
    lake.declare("big: {mode: full_refresh}").load()
    database.execute("update big set n = 1 where id = 5")

    again = only(lake.load())

    assert again.rows_written == 90_000
    assert len(lake.files("shop__big")) == 4
    assert only(lake.load()).status == "unchanged"


def test_a_failed_range_fails_the_table_and_the_next_load_reads_all_of_it(
    database: Database, lake: Lake
) -> None:
    database.execute(*BIG, "alter table big add price numeric(8,2)")
    database.execute("update big set price = 'NaN' where id = 90_000")
    lake.declare("big: {cursor: updated_at}")

    error = failure(lake.load())
    database.execute("update big set price = 1 where id = 90_000")
    healed = only(lake.load())

    assert "column price holds NaN" in str(error)
    assert healed.rows_written == 90_000


def test_each_statement_finishes_within_max_query_time(database: Database, lake: Lake) -> None:
    database.execute(*BIG)

    lake.declare("big: {cursor: updated_at, max_query_time: 1s}").load()

    assert len(lake.files("shop__big")) == 4
    assert lake.raw("shop__big", "count(distinct id)") == [(90_000,)]


# Four partitions, each of which takes a moment to read.
SLOWLY = """
big:
  cursor: updated_at
  parallel: 2
  max_query_time: 100s
  where: "id % 32 > 0 or pg_sleep(0.001) is not null"
"""
COPYING = """
select {} from pg_stat_activity where application_name = 'lakefeed shop__big' and state = 'active'
    and query ilike 'copy%big%' and datname = current_database()
"""
# A session that is about to copy has no lock yet; one that sleeps is in the midst of the table.
READING = """
select from pg_stat_activity
where application_name = 'lakefeed shop__big' and wait_event = 'PgSleep'
"""


@pytest.fixture
def start(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Future[RunReport]]]:
    """Starts a load of the big table, and of another one."""
    monkeypatch.setattr(
        "lakefeed.loading.ranges.ctid_ranges._SLOWEST_PER_SECOND", (20 << 20) // 100
    )
    database.execute(*BIG, "create table other as select 1 as id")
    lake.declare(f"other: {{mode: full_refresh}}{SLOWLY}")
    with ThreadPoolExecutor(1) as pool:
        yield lambda: pool.submit(lake.load)


def until(condition: Callable[[], object], load: Future[RunReport]) -> None:
    while not condition():
        assert not load.done(), load.result()
        time.sleep(0.01)


def test_a_second_session_that_would_wait_for_a_lock_leaves_the_read_to_the_first(
    database: Database, lake: Lake, start: Callable[[], Future[RunReport]]
) -> None:
    """A pending ALTER TABLE waits for the first session, so waiting for it would deadlock."""
    with closing(database.connect()) as holder, closing(database.connect()) as altering:
        # The second engine is in use for a while.
        holder.cursor().execute("lock table other in access exclusive mode")
        loading = start()
        until(lambda: database.rows(READING), loading)
        with ThreadPoolExecutor(1) as pool:
            altered = pool.submit(altering.cursor().execute, "alter table big add late int")
            until(lambda: database.rows("select from pg_locks where not granted offset 1"), loading)
            holder.rollback()

            report = loading.result()

            altered.result()

    assert report.failures == []
    assert lake.raw("shop__big", "count(*), count(distinct id)") == [(90_000, 90_000)]


def test_the_range_of_a_session_that_dies_is_read_by_the_first_session(
    database: Database, lake: Lake, start: Callable[[], Future[RunReport]]
) -> None:
    loading = start()
    until(lambda: len(database.rows(COPYING.format("pid"))) > 1, loading)
    database.execute(
        COPYING.format("pg_terminate_backend(pid)") + " order by backend_start desc limit 1"
    )

    report = loading.result()

    assert report.failures == []
    assert lake.raw("shop__big", "count(*), count(distinct id)") == [(90_000, 90_000)]
