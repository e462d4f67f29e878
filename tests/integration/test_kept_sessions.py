"""Sessions on the source that are kept from table to table, each table in its own transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import duckdb
import pytest

from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.plan.table_plan import TablePlan, plan_table
from lakefeed.loading.sessions.duckdb_engine import Engines, spill_folder
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.workers.messages import Setup
from lakefeed.loading.workers.pool import Workers
from lakefeed.orchestration.checks.audit import at_one_snapshot
from tests.conftest import Database, Lake
from tests.integration.test_limits import role
from tests.integration.test_workers import DECLARED, MANY, declare_many, needs_workers
from tests.started import start

pytestmark = [pytest.mark.builds, pytest.mark.at_night]

__all__ = ["role"]

PID = "select pg_backend_pid()"
SETTING = "select current_setting('{}')"


@contextmanager
def opened(lake: Lake) -> Iterator[tuple[SourceAtSnapshot, list[TablePlan]]]:
    """The source at one snapshot, and the plan of each of its tables."""
    project = lake.project
    with at_one_snapshot(project, "shop") as (source, live):
        yield source, [plan_table(t, live.tables[t.qualified]) for t in project.tables]


@pytest.fixture
def two(database: Database, lake: Lake) -> Lake:
    database.execute(
        "create table a (id int primary key)",
        "create table b (id int primary key)",
        "insert into a values (1)",
        "insert into b values (1)",
    )
    return lake.declare("a: {mode: full_refresh, max_query_time: 100s}\nb: {mode: full_refresh}")


def readers(database: Database) -> list[int]:
    """The sessions that read tables, without the one that holds the snapshot."""
    return [
        pid
        for (pid,) in database.rows(
            "select pid from pg_stat_activity where application_name like 'lakefeed %'"
            " and application_name <> 'lakefeed snapshot' and datname = current_database()"
        )
    ]


def end(database: Database, pids: list[int]) -> None:
    """Ends sessions, and waits until they are gone."""
    database.execute(*(f"select pg_terminate_backend({pid})" for pid in pids))
    while set(readers(database)) & set(pids):
        time.sleep(0.05)


def test_a_session_is_used_again_and_the_table_before_is_no_longer_locked(
    database: Database, two: Lake
) -> None:
    with opened(two) as (source, (a, b)):
        with source.session(a) as session:
            session.fetch("select * from a")
            first = session.backend_pid()

        database.execute("set lock_timeout = '5s'", "alter table a add note text")

        with source.session(b) as session:
            assert session.backend_pid() == first

    assert readers(database) == []


def test_all_tables_are_read_at_one_snapshot_by_a_session_that_is_used_again(
    database: Database, two: Lake
) -> None:
    with opened(two) as (source, (a, b)):
        with source.session(a) as session:
            assert session.fetch("select id from a") == [(1,)]
        database.execute("insert into a values (2)", "insert into b values (2)")

        for plan in (b, a):
            with source.session(plan) as session:
                assert session.fetch(f"select id from {plan.table.name}") == [(1,)]


def test_nothing_of_a_table_is_left_to_the_next(database: Database, two: Lake) -> None:
    with opened(two) as (source, (a, b)):
        with source.session(a) as session:
            session.execute("create temp table incoming as select 1 as id")
            session.fetch("select pg_advisory_xact_lock_shared(4711)")
            of_a = [
                session.fetch(SETTING.format(name))[0][0]
                for name in ("statement_timeout", "application_name")
            ]
        with source.session(b) as session:
            of_b = [
                session.fetch(SETTING.format(name))[0][0]
                for name in ("statement_timeout", "application_name")
            ]
            with pytest.raises(duckdb.CatalogException):
                session.execute("from incoming")

        locks = database.rows("select from pg_locks where locktype = 'advisory' and objid = 4711")

    assert of_a == ["100s", "lakefeed shop__a"]
    assert of_b == ["0", "lakefeed shop__b"]
    assert locks == []


def test_a_table_that_fails_takes_its_session_with_it_and_the_next_gets_another(
    database: Database, two: Lake
) -> None:
    with opened(two) as (source, (a, b)):
        with pytest.raises(duckdb.Error), source.session(a) as session:
            failed = session.backend_pid()
            session.fetch("select 1 / 0 from a")

        with source.session(b) as session:
            assert session.fetch("select id from b") == [(1,)]
            assert session.backend_pid() != failed


def test_a_session_that_the_server_ends_between_two_tables_is_replaced(
    database: Database, two: Lake
) -> None:
    with opened(two) as (source, (a, b)):
        with source.session(a) as session:
            first = session.backend_pid()
        end(database, [first])
        database.execute("insert into b values (2)")

        with source.session(b) as session:
            assert session.backend_pid() != first
            assert session.fetch("select id from b") == [(1,)]

    assert source.warnings == []


def test_a_session_is_not_kept_where_the_table_is_read_through_psycopg2(
    database: Database, two: Lake
) -> None:
    two.declare("a: {mode: full_refresh, backend: psycopg2}\nb: {mode: full_refresh}")
    with opened(two) as (source, (a, b)):
        for plan, kept in ((a, 0), (b, 1), (a, 0)):
            with source.session(plan) as session:
                session.fetch(f"select * from {plan.table.name}")
            assert len(readers(database)) == kept


def test_an_idle_session_makes_room_where_the_source_refuses_another(
    database: Database, two: Lake, role: str
) -> None:
    two.declare("a: {mode: full_refresh, backend: psycopg2}\nb: {mode: full_refresh}")
    with (
        opened(two) as (at_snapshot, (a, b)),
        closing(Engines(spill_folder(two.project), at_most=2)) as engines,
    ):
        source = SourceAtSnapshot(
            at_snapshot.connection, at_snapshot.snapshot, at_snapshot.holder, engines
        )
        with source.session(b), source.session(b):
            pass
        assert len(readers(database)) == 2
        database.execute(f"alter role {role} connection limit 2")

        began = time.monotonic()
        with source.session(a) as session:
            assert session.fetch("select id from a") == [(1,)]
            assert len(readers(database)) == 1
        with source.session(b) as session:
            assert session.fetch("select id from b") == [(1,)]

        assert readers(database) == []
        assert time.monotonic() - began < 5


@needs_workers
def test_a_table_is_no_longer_locked_once_a_worker_has_loaded_it(
    database: Database, lake: Lake
) -> None:
    many = declare_many(database, lake)
    database.execute("create view slow as select 1 as id, pg_sleep(20)::text as x")
    many.declare(f"slow: {{mode: full_refresh}}\n{DECLARED}")
    logs = [many.root / f"data/raw/shop__{name}/_dlt_loads" for name in MANY]
    run = start(many, "load").until(lambda: all(list(log.glob("*.jsonl")) for log in logs))

    database.execute(
        "set lock_timeout = '5s'", *(f"alter table {name} add note text" for name in MANY)
    )

    assert run.process.poll() is None
    assert run.ended().code == 0


@needs_workers
def test_many_tables_take_few_sessions(database: Database, lake: Lake) -> None:
    many = declare_many(database, lake)

    def sessions() -> int:
        query = "select sessions from pg_stat_database where datname = current_database()"
        return int(database.rows(query)[0][0])

    before = sessions()
    report = many.load()
    limit = time.monotonic() + 5
    while readers(database) and time.monotonic() < limit:
        time.sleep(0.1)
    time.sleep(1)

    assert [table.status for table in report.tables] == ["loaded"] * len(MANY)
    assert 2 < sessions() - before < len(MANY)


@pytest.fixture
def worker(
    database: Database, lake: Lake
) -> Iterator[tuple[Workers, SourceAtSnapshot, list[TablePlan]]]:
    """One worker, for a dozen tables."""
    many = declare_many(database, lake)
    with opened(many) as (source, plans):
        setup = Setup(many.project, source.connection, source.snapshot)
        with closing(Workers(setup, 1)) as workers:
            yield workers, source, plans


Worker = tuple[Workers, SourceAtSnapshot, list[TablePlan]]


def loaded(worker: Worker, number: int) -> LoadResult:
    workers, source, plans = worker
    return workers.load(source, plans[number], LoadOptions())


@needs_workers
def test_a_worker_whose_session_the_server_ends_between_two_tables_opens_another(
    database: Database, worker: Worker
) -> None:
    loaded(worker, 0)
    first = readers(database)
    assert len(first) == 1
    end(database, first)
    database.execute(f"insert into {MANY[1]} values (3)")

    assert loaded(worker, 1).rows == 2
    assert len(readers(database)) == 1
    assert readers(database) != first


@needs_workers
def test_a_worker_that_fails_a_table_loads_the_next(database: Database, worker: Worker) -> None:
    loaded(worker, 0)
    first = readers(database)
    database.execute(f"drop table {MANY[1]}")

    with pytest.raises(Exception, match=MANY[1]):
        loaded(worker, 1)
    assert readers(database) == []

    assert loaded(worker, 2).rows == 2
    assert readers(database) != first


@needs_workers
def test_a_worker_has_no_session_while_the_run_reads_a_table_itself(
    database: Database, worker: Worker
) -> None:
    workers, source, _ = worker
    first = loaded(worker, 0)
    seen: list[list[int]] = []

    def load_here() -> LoadResult:
        seen.append(readers(database))
        return first

    assert workers.without_one(source, load_here) is first
    assert seen == [[]]
    assert loaded(worker, 1).rows == 2


@needs_workers
def test_a_waiting_worker_gives_its_session_up_where_the_source_refuses_another(
    database: Database, worker: Worker
) -> None:
    workers, source, _ = worker
    source.at_shortage(lambda: workers.close_unused_sessions(source))
    loaded(worker, 0)
    open_one = refused_once()

    source.count_session(open_one)
    source.session_ended()

    assert readers(database) == []
    loaded(worker, 1)
    assert readers(database) == []


def refused_once() -> Callable[[], None]:
    """Opens a session in vain, as where a limit is reached, and then succeeds."""
    from lakefeed.source.connections.failure import NoSessionLeft

    attempts = iter([NoSessionLeft("the role has reached its connection limit", do="wait")])

    def open_one() -> None:
        for refusal in attempts:
            raise refusal

    return open_one
