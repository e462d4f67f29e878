"""`max_connections`: all runs together have no more sessions on a source than it allows."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from lakefeed.loading.locks.holding_sessions import sessions_holding
from lakefeed.loading.locks.table_lock import number_of
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.ingest.preview import preview_loads
from lakefeed.orchestration.reports.listener import Silence
from lakefeed.orchestration.reports.run_report import TableReport
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.session_settings import OURS
from lakefeed.source.snapshot import open_snapshot
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, failure, only
from tests.integration.test_big_tables import BIG
from tests.integration.test_workers import DECLARED as DECLARED_MANY
from tests.integration.test_workers import MANY, declare_many, needs_workers

pytestmark = pytest.mark.builds

TABLES = (
    *BIG,
    "create table orders (id int primary key, note text, at timestamptz default now())",
    "insert into orders select i, 'note ' || i from generate_series(1, 50) as i",
    "create table kinds as select i as id, i / 3::numeric as share from generate_series(1, 9) i",
    "create view broken as select id, 1 / (id - 5) as part from kinds",
)
DECLARED = """
big: {cursor: updated_at, parallel: 4, primary_key: [id]}
orders: {cursor: at, deletes: remove}
kinds: {mode: full_refresh}
"""
# The transactions in which Lakefeed reads, whatever run and process they are of.
TRANSACTIONS = f"""
select count(distinct pid) from pg_locks
where locktype = 'advisory' and classid = {OURS >> 32} and objid = {OURS % 2**32}
    and database = (select oid from pg_database where datname = current_database())
"""
SESSIONS = (
    "select count(*) from pg_stat_activity where datname = current_database() "
    "and application_name like 'lakefeed%'"
)


def declare(lake: Lake, most: int, tables: str = DECLARED) -> Lake:
    return lake.declare(tables, head=f"    max_connections: {most}\n")


@contextmanager
def counting(database: Database, query: str = TRANSACTIONS) -> Iterator[list[int]]:
    """The numbers that a query gives while the block runs."""
    seen: list[int] = []
    done = threading.Event()

    def count() -> None:
        with closing(database.connect()) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                while not done.is_set():
                    cursor.execute(query)
                    seen.append(cursor.fetchone()[0])
                    time.sleep(0.002)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


@contextmanager
def another_run(lake: Lake) -> Iterator[int]:
    """A run that has its snapshot, as one in another process; the pid of its session."""
    with open_snapshot(connection_of(lake.project, "shop")) as (_, session):
        yield session.info.backend_pid


def process(lake: Lake, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lakefeed.cli.main", *arguments],
        cwd=lake.root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.by_day(1)
@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_run_has_no_more_sessions_than_it_may(database: Database, lake: Lake, most: int) -> None:
    database.execute(*TABLES)
    declare(lake, most)

    with counting(database) as first:
        report = lake.load()
    database.execute(
        "insert into orders values (51, 'later', now())",
        "delete from orders where id = 1",
        "update big set n = 1, updated_at = now() where id = 7",
    )
    with counting(database) as then:
        second = lake.load()

    assert [str(table.error) for table in report.failures + second.failures] == []
    assert max(first) == most
    assert max(then) <= most
    # To have as many as declared is no news.
    assert report.warnings == second.warnings == ()
    assert lake.raw("shop__big", "count(*), count(distinct id), sum(n)") == [(90_001, 90_000, 1)]
    assert lake.raw("shop__orders", "count(*), count(distinct id)") == [(52, 51)]


def test_one_session_reads_the_same_values_as_two(
    database: Database, lake: Lake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database.execute(*TABLES)
    other = Lake(tmp_path_factory.mktemp("other"))
    tables = "orders: {cursor: at}\nkinds: {mode: full_refresh}"
    declare(lake, 1, tables).load()
    declare(other, 2, tables).load()

    for table, columns in (("shop__orders", 'id, note, "at"'), ("shop__kinds", "id, share")):
        assert lake.raw(table, columns) == other.raw(table, columns)
        assert len(lake.raw(table)) > 5


def test_a_role_that_may_have_one_session_is_enough_for_one(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(
        *TABLES,
        f"create role one_{database.name} login connection limit 1",
        f"grant pg_read_all_data, pg_read_all_stats to one_{database.name}",
    )
    url = database.url.replace("postgres:@", f"one_{database.name}:@")
    monkeypatch.setenv(CONNECTION_VARIABLE, url)
    try:
        report = declare(lake, 1).load()
    finally:
        database.execute(f"drop role one_{database.name}")

    assert [str(table.error) for table in report.failures] == []


class AtTheEnd(Silence):
    """Runs a query whenever a table is loaded, and keeps what it gives by the table's name."""

    def __init__(self, database: Database, query: str) -> None:
        self.database = database
        self.query = query
        self.seen: dict[str, object] = {}

    def ended(self, report: TableReport) -> None:
        self.seen[report.name] = self.database.rows(self.query)


def test_with_one_session_a_table_that_was_read_is_no_longer_locked(
    database: Database, lake: Lake
) -> None:
    database.execute(*TABLES)
    locked = AtTheEnd(
        database,
        "select relation::regclass::text from pg_locks where locktype = 'relation' "
        "and relation::regclass::text in ('big', 'orders', 'kinds')",
    )

    declare(lake, 1).load(listener=locked)

    assert locked.seen == {"shop.big": [], "shop.orders": [], "shop.kinds": []}


def test_with_one_session_a_table_stays_locked_against_other_runs(
    database: Database, lake: Lake
) -> None:
    """The advisory lock of the table outlives the savepoint in which the table is read."""
    database.execute(*TABLES)
    declare(lake, 1).load()
    database.execute("update orders set note = 'x', at = now()")
    number = number_of(lake.project, "shop__orders")
    holders: dict[str, int] = {}

    class Looks(AtTheEnd):
        def ended(self, report: TableReport) -> None:
            with closing(database.connect()) as session:
                holders[report.name] = len(sessions_holding(session, number))

    lake.load(listener=Looks(database, ""))

    assert holders["shop.orders"] == 1


def test_with_one_session_a_table_that_fails_stops_no_other(database: Database, lake: Lake) -> None:
    database.execute(*TABLES)
    declare(
        lake,
        1,
        "orders: {cursor: at}\nbroken: {mode: full_refresh, primary_key: [id]}\n"
        "absent: {mode: full_refresh}\nkinds: {mode: full_refresh}",
    )

    report = lake.load()

    assert {table.name for table in report.failures} == {"shop.broken", "shop.absent"}
    assert "division by zero" in str(
        next(table.error for table in report.failures if table.name == "shop.broken")
    )
    assert len(lake.raw("shop__kinds")) == 9


@pytest.mark.at_night
@needs_workers
@pytest.mark.parametrize("most", [1, 2, 3])
def test_workers_share_the_sessions_of_their_run(database: Database, lake: Lake, most: int) -> None:
    declare_many(database, lake)
    declare(lake, most, DECLARED_MANY)

    with counting(database) as first:
        report = lake.load()
    database.execute(*(f"insert into {name} values (3)" for name in MANY[:6]))
    with counting(database) as then:
        second = lake.load()

    assert [str(table.error) for table in report.failures + second.failures] == []
    assert max(*first, *then) <= most
    assert [len(lake.raw(f"shop__{name}")) for name in MANY] == [3] * 6 + [2] * (len(MANY) - 6)


@pytest.mark.by_day(1)
@pytest.mark.parametrize(("most", "runs"), [(1, 2), (2, 3), (3, 3)])
def test_runs_at_the_same_time_share_the_sessions(
    database: Database, lake: Lake, most: int, runs: int
) -> None:
    """As tasks of the DAG do: each is a process of its own."""
    for number in range(runs):
        database.execute(
            f"create table t{number} as select i as id from generate_series(1, 5000) as i"
        )
    declare(lake, most, "\n".join(f"t{number}: {{mode: full_refresh}}" for number in range(runs)))

    with counting(database) as seen:
        begun = [process(lake, "load", "--select", f"shop.t{number}") for number in range(runs)]
        ended = [(run.communicate(timeout=120)[0], run.returncode) for run in begun]

    assert [code for _, code in ended] == [0] * runs, ended
    # A run reads the horizon in a transaction before it knows whether there is room.
    assert max(seen) <= most + runs
    assert [len(lake.raw(f"shop__t{number}")) for number in range(runs)] == [5000] * runs


def test_slots_are_never_taken_by_two(database: Database, lake: Lake) -> None:
    """Twenty runs want two slots each at the same moment, and five may have some."""
    declare(lake, 10)
    project = lake.project
    at_once: list[int] = []
    taken = threading.Semaphore(0)

    def take(_: int) -> None:
        with open_snapshot(connection_of(project, "shop")) as (_snapshot, session):
            with session.cursor() as cursor:
                cursor.execute(
                    "select count(*), count(distinct pid) from pg_locks where "
                    "locktype = 'advisory' and objsubid = 1 and granted "
                    f"and classid = {int.from_bytes(b'slot')}"
                )
                slots, holders = cursor.fetchone() or (0, 0)
            at_once.append(slots)
            assert holders <= 5 or slots <= 10
            taken.release()

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(take, range(20)))

    assert len(at_once) == 20
    assert max(at_once) <= 10


def test_a_run_that_finds_no_room_waits_without_a_session_and_says_for_whom(
    database: Database, lake: Lake
) -> None:
    database.execute(*TABLES)
    declare(lake, 2, "kinds: {mode: full_refresh}")
    with ThreadPoolExecutor(1) as pool:
        with another_run(lake) as pid, counting(database, SESSIONS) as seen:
            waiting = pool.submit(lake.load)
            time.sleep(4)
            assert not waiting.done()
        report = waiting.result(timeout=60)

    assert only(report).status == "loaded"
    (told,) = report.warnings
    assert told.startswith(
        "shop: had to wait: other runs have the sessions that `max_connections` allows: 2 in all; "
        f"2 of the run of session {pid}, from a local socket, since "
    )
    # Mostly only the other run is there; the waiter comes back for a moment.
    assert sorted(seen)[len(seen) // 2] == 1
    assert max(seen) <= 2


def test_a_run_gives_up_after_a_while_and_names_who_has_the_sessions(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefeed.source.connections.budget.WAIT_SECONDS", 1.0)
    database.execute(*TABLES)
    declare(lake, 2, "kinds: {mode: full_refresh}")

    with another_run(lake) as pid:
        told = failure(lake.load())

    assert f"2 of the run of session {pid}" in told
    assert "lakefeed unlock" in told
    assert only(lake.load()).status == "loaded"


def test_a_run_that_is_killed_leaves_room(database: Database, lake: Lake) -> None:
    database.execute(*TABLES)
    declare(lake, 2, "kinds: {mode: full_refresh}\norders: {cursor: at}")
    with closing(database.connect()) as migration, migration.cursor() as cursor:
        cursor.execute("lock table orders in access exclusive mode")
        run = process(lake, "load", "--select", "shop.orders")
        while database.rows(TRANSACTIONS) != [(2,)]:
            assert run.poll() is None
            time.sleep(0.05)
        run.kill()
        run.communicate()

    assert lake.load().failures == []


def test_sources_without_the_setting_are_not_counted(database: Database, lake: Lake) -> None:
    database.execute(*TABLES)
    declare(lake, 1, "kinds: {mode: full_refresh}")
    with another_run(lake):
        free = lake.declare("kinds: {mode: full_refresh}").load()

    assert only(free).status == "loaded"


@pytest.mark.parametrize("most", [1, 2])
def test_an_audit_keeps_to_it_as_well(database: Database, lake: Lake, most: int) -> None:
    database.execute(*TABLES)
    declare(lake, most, "orders: {cursor: at}\nkinds: {mode: full_refresh, primary_key: [id]}")
    assert lake.run().failures == []

    with counting(database) as seen:
        report = audit(lake.project, ())

    assert report.exit_code == 0, report
    assert max(seen) == most


def test_a_preview_waits_for_nobody(database: Database, lake: Lake) -> None:
    database.execute(*TABLES)
    declare(lake, 1, "kinds: {mode: full_refresh}")
    with another_run(lake):
        (found,) = preview_loads(lake.project, LoadRequest())

    assert found.error is None


def test_explain_says_where_it_is_set(database: Database, lake: Lake) -> None:
    database.execute(*TABLES)
    declare(lake, 4, "kinds: {mode: full_refresh}")

    told = lake.command("explain", "shop.kinds").stdout

    (line,) = [line.split() for line in told.splitlines() if "max_connections" in line]
    assert line == ["max_connections", "4", "sources.yaml:5"]


def test_the_example_of_the_page_bounds_a_run(database: Database, lake: Lake) -> None:
    database.execute(*TABLES)
    page = Path(__file__).resolve().parents[2] / "docs" / "guarantees.md"
    (example,) = re.findall(r"```yaml\n(sources:.*?)```", page.read_text(), re.DOTALL)
    declared = example.replace("SHOP_DATABASE_URL", CONNECTION_VARIABLE)
    (lake.root / "sources.yaml").write_text(
        f"version: 1\n{declared.replace('updated_at', 'at')}", encoding="utf-8"
    )

    assert lake.project.source("shop").max_connections == 4
    assert only(lake.load()).rows_written == 50
