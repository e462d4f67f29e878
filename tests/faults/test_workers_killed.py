"""Workers and runs that are killed, or lose their lock, in the midst of a load."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.orchestration.ingest.table_loads import usable_cores
from tests.conftest import Database, Lake
from tests.integration.test_workers import DECLARED, MANY, declare_many
from tests.started import Started, start

pytestmark = [
    pytest.mark.faults,
    pytest.mark.on_store(at_night=True),
    pytest.mark.skipif(usable_cores() == 1, reason="one core has no use for workers"),
]


@pytest.fixture
def many(database: Database, lake: Lake) -> Lake:
    return declare_many(database, lake)


def processes_of(run: Started) -> list[psutil.Process]:
    """The processes that load for a run."""
    return psutil.Process(run.process.pid).children(recursive=True)


def reading(database: Database, table: str) -> Callable[[], object]:
    """Whether a session is in the midst of reading the table."""
    query = (
        "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
        f" and datname = current_database() and application_name = 'lakefeed shop__{table}'"
    )
    return lambda: database.rows(query)


@pytest.fixture
def reads_slowly(database: Database, many: Lake) -> Iterator[Started]:
    """A run with one more table, in the midst of reading that one; all others are loaded."""
    database.execute("create view slow as select 1 as id, pg_sleep(60)::text as x")
    many.declare(f"slow: {{mode: full_refresh}}\n{DECLARED}")
    run = start(many, "load")
    is_read = reading(database, "slow")
    yield run.until(lambda: all(committed(many, name) for name in MANY) and is_read())
    run.process.kill()
    run.process.communicate()


def committed(lake: Lake, table: str) -> bool:
    files, root = open_raw(lake.project.raw)
    return bool(files.glob(f"{root}/shop__{table}/_dlt_loads/*.jsonl"))


def until(happens: Callable[[], object], seconds: float = 20) -> None:
    limit = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < limit, "it didn't happen"
        time.sleep(0.05)


def test_a_killed_worker_fails_the_table_that_it_loads(
    database: Database, many: Lake, reads_slowly: Started
) -> None:
    for worker in processes_of(reads_slowly):
        worker.kill()

    ended = reads_slowly.ended()

    assert ended.code == 1
    assert "shop.slow: the process that loads it has ended" in ended.told
    assert f"loaded {len(MANY)} of {len(MANY) + 1} tables" in ended.told
    assert "Traceback" not in ended.told


@pytest.mark.on_store
def test_workers_of_a_killed_run_end_and_commit_nothing(
    database: Database, many: Lake, reads_slowly: Started
) -> None:
    workers = processes_of(reads_slowly)

    reads_slowly.process.kill()

    until(lambda: not any(worker.is_running() for worker in workers))
    until(lambda: not reading(database, "slow")())
    assert not committed(many, "slow")


def test_a_worker_commits_nothing_once_the_run_has_lost_its_lock(
    database: Database, many: Lake
) -> None:
    database.execute("create view slow as select 1 as id, pg_sleep(2)::text as x")
    many.declare(f"slow: {{mode: full_refresh}}\n{DECLARED}")
    run = start(many, "load").until(reading(database, "slow"))
    database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'lakefeed snapshot' and datname = current_database()"
    )

    ended = run.ended()

    assert "shop.slow lost its lock: the session that held it has ended" in ended.told
    assert not committed(many, "slow")
    assert many.declare("slow: {mode: full_refresh}").load().exit_code == 0


def test_ctrl_c_ends_the_workers_and_what_the_source_computes_for_them(
    database: Database, reads_slowly: Started
) -> None:
    workers = processes_of(reads_slowly)

    ended = reads_slowly.end_by(signal.SIGINT)

    assert (ended.code, ended.seconds < 10) == (130, True)
    assert ended.told.endswith("interrupted; tables that had finished loading stay loaded\n")
    assert "Traceback" not in ended.told
    until(lambda: not any(worker.is_running() for worker in workers))
    until(lambda: not reading(database, "slow")())
