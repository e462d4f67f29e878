"""`max_lock_wait`: how long a read may keep other sessions waiting for a lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from lakefeed.orchestration.reports.run_report import RunReport
from tests.conftest import Database, Lake, failure, only

pytestmark = pytest.mark.builds

TABLES = (
    "create table t (id int primary key, at timestamptz not null default now())",
    "insert into t select generate_series(1, 3)",
)
Start = Callable[[str], Future[RunReport]]

# Each row takes a second.
SLOWLY = '{{cursor: at, {}, where: "pg_sleep(1) is not null"}}'
READING = """
select from pg_stat_activity where application_name = 'lakefeed shop__t' and wait_event = 'PgSleep'
    and datname = current_database()
"""


@pytest.fixture
def loading(database: Database, lake: Lake) -> Iterator[Start]:
    """Starts a load of the table with these settings."""
    database.execute(*TABLES)
    with ThreadPoolExecutor(1) as pool:
        yield lambda settings: pool.submit(lake.declare(f"t: {SLOWLY.format(settings)}").load)


def alter(database: Database, statement: str, loading: Future[RunReport]) -> None:
    """Alters the table during a read, as a deployment does, and waits for its lock."""
    while not database.rows(READING):
        assert not loading.done(), loading.result()
    database.execute("set application_name = 'deploy'", statement)


@pytest.mark.parametrize("backend", ["duckdb", "psycopg2"])
def test_a_read_that_keeps_another_session_waiting_is_cancelled_and_retried(
    database: Database, lake: Lake, loading: Start, backend: str
) -> None:
    load = loading(f"backend: {backend}, max_lock_wait: 1s")

    alter(database, "alter table t add note text default 'new'", load)

    loaded = only(load.result())
    assert loaded.rows_written == 3
    assert "kept another session waiting for longer than `max_lock_wait`" in loaded.notes[-1]
    assert lake.raw("shop__t", "id, note") == [(1, "new"), (2, "new"), (3, "new")]


def test_a_read_that_is_cancelled_again_fails_and_names_the_waiting_session(
    database: Database, lake: Lake, loading: Start
) -> None:
    load = loading("max_lock_wait: 0s")

    alter(database, "alter table t add note text", load)
    alter(database, "alter table t add another text", load)

    error = failure(load.result())
    assert "sources.yaml:6: reading shop.t was cancelled because it kept another session" in error
    assert "(`deploy`) is waiting for ALTER TABLE" in error
    assert lake.files("shop__t") == []


@pytest.mark.parametrize("settings", ["max_lock_wait: 30s", "max_lock_wait: null"])
def test_a_read_is_not_cancelled_for_sessions_that_wait_for_less_than_the_limit(
    database: Database, loading: Start, settings: str
) -> None:
    load = loading(settings)

    alter(database, "alter table t add note text", load)

    assert only(load.result()).notes == ()
