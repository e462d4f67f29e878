"""`lakefeed unlock`: who holds the lock of a table, and the end of that run."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from lakefeed.loading.locks.table_lock import table_lock
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import CONNECTION_VARIABLE, Database, Lake

ORDERS = (
    "create table orders (id int primary key)",
    "insert into orders select generate_series(1, 10)",
)


@pytest.fixture
def orders(database: Database, lake: Lake) -> Lake:
    database.execute(*ORDERS)
    return lake.declare("orders: {mode: full_refresh}\nlines: {mode: full_refresh}")


@contextmanager
def stuck_run(database: Database, lake: Lake) -> Iterator[subprocess.Popen[str]]:
    """A run in a process of its own, which can't read `orders` and so keeps the table's lock."""
    with closing(database.connect()) as migration, migration.cursor() as cursor:
        cursor.execute("lock table orders in access exclusive mode")
        run = subprocess.Popen(
            [sys.executable, "-m", "lakefeed.cli.main", "load", "--select", "shop.orders"],
            cwd=lake.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until_it_reads(database)
            yield run
        finally:
            run.kill()
            run.wait()


def wait_until_it_reads(database: Database) -> None:
    waiting = (
        "select count(*) from pg_stat_activity where datname = current_database() "
        "and wait_event_type = 'Lock' and application_name like 'lakefeed%'"
    )
    limit = time.monotonic() + 60
    while database.rows(waiting) != [(1,)]:
        assert time.monotonic() < limit
        time.sleep(0.05)


@contextmanager
def locked(lake: Lake) -> Iterator[None]:
    """The lock of `orders`, as a run in this process holds it."""
    project = lake.project
    (table,) = [table for table in project.tables if table.name == "orders"]
    with (
        connect(connection_of(project, "shop"), "lakefeed snapshot") as session,
        table_lock(project, table, session),
    ):
        yield


def test_a_table_that_nobody_loads_is_not_locked(orders: Lake) -> None:
    ended = orders.command("unlock", "shop.orders")

    assert (ended.returncode, ended.stdout) == (0, "shop.orders is not locked\n")


def test_nothing_to_end_is_no_failure(orders: Lake) -> None:
    ended = orders.command("unlock", "shop.orders", "--end")

    assert (ended.returncode, ended.stdout) == (0, "shop.orders is not locked\n")


def test_the_run_that_holds_a_lock_is_shown_with_its_sessions(
    database: Database, orders: Lake
) -> None:
    with stuck_run(database, orders) as run:
        ended = orders.command("unlock", "shop.orders")
        document = json.loads(orders.command("unlock", "shop.orders", "--json").stdout)
        others = orders.command("unlock", "shop.lines")

    assert ended.returncode == 0
    assert "`lakefeed snapshot`" in ended.stdout
    assert "; it holds the lock\n" in ended.stdout
    assert "(`lakefeed shop__orders`) of the role postgres, from a local socket" in ended.stdout
    assert f"process {run.pid} on " in ended.stdout
    assert "lakefeed unlock shop.orders --end" in ended.stdout
    assert document["is_free"] is False
    assert [found["application"] for found in document["sessions"]] == [
        "lakefeed snapshot",
        "lakefeed shop__orders",
    ]
    assert others.stdout == "shop.lines is not locked\n"


def test_ending_a_run_frees_the_table_and_the_run_says_what_happened(
    database: Database, orders: Lake
) -> None:
    with stuck_run(database, orders) as run:
        ended = orders.command("unlock", "shop.orders", "--end")

        assert ended.returncode == 0, ended
        assert "ended 2 sessions: shop.orders is free" in ended.stdout
        told = run.communicate(timeout=60)[0]
        after = orders.command("unlock", "shop.orders")

    assert run.returncode != 0
    assert "was lost" in told
    assert after.stdout == "shop.orders is not locked\n"
    assert orders.load("shop.orders").failures == []


def test_a_table_that_another_lake_loads_is_not_locked_in_this_one(
    database: Database, orders: Lake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Lake(tmp_path_factory.mktemp("other")).declare("orders: {mode: full_refresh}")
    with locked(other):
        assert orders.command("unlock", "shop.orders").stdout == "shop.orders is not locked\n"


@pytest.fixture
def poor_role(
    database: Database, orders: Lake, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    """Two roles without the right to end each other's sessions; the lake uses the second."""
    names = [f"{letter}{uuid.uuid4().hex[:12]}" for letter in "ab"]
    for name in names:
        database.execute(f"create role {name} login", f"grant pg_read_all_data to {name}")
    yield names[0], names[1]
    for name in names:
        database.execute(f"drop role {name}")


def as_role(database: Database, name: str) -> str:
    return database.url.replace("postgres:@", f"{name}:@")


def test_a_role_that_may_not_end_a_session_is_told_the_grant(
    database: Database, orders: Lake, poor_role: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    holder, me = poor_role
    monkeypatch.setenv(CONNECTION_VARIABLE, as_role(database, holder))
    with locked(orders):
        mine = {CONNECTION_VARIABLE: as_role(database, me)}
        shown = orders.command("unlock", "shop.orders", **mine)
        refused = orders.command("unlock", "shop.orders", "--end", **mine)
        database.execute(f"grant pg_signal_backend to {me}")
        ended = orders.command("unlock", "shop.orders", "--end", **mine)
        again = orders.command("unlock", "shop.orders", "--json", **mine)

    assert "needs pg_read_all_stats" in shown.stdout
    assert refused.returncode == 1
    assert f"the role `{me}` may not end sessions of `{holder}`" in refused.stderr
    assert f'grant pg_signal_backend to "{me}"' in refused.stderr
    assert ended.returncode == 0, ended
    assert json.loads(again.stdout)["sessions"] == []


def test_only_a_superuser_may_end_a_superusers_session(
    database: Database, orders: Lake, poor_role: tuple[str, str]
) -> None:
    _, me = poor_role
    database.execute(f"grant pg_signal_backend to {me}")
    with locked(orders):
        mine = {CONNECTION_VARIABLE: as_role(database, me)}
        refused = orders.command("unlock", "shop.orders", "--end", **mine)

    assert refused.returncode == 1
    assert "can only be ended by a superuser: select pg_terminate_backend(" in refused.stderr


@pytest.mark.on_ducklake
def test_the_build_of_the_warehouse_is_told(orders: Lake) -> None:
    with warehouse_of(orders.project).lock():
        during = orders.command("unlock", "shop.orders")
    after = orders.command("unlock", "shop.orders")

    assert "the warehouse is being built by " in during.stdout
    assert "to end it" in during.stdout
    assert after.stdout == "shop.orders is not locked\n"


def test_an_unknown_table_is_an_error(orders: Lake) -> None:
    ended = orders.command("unlock", "shop.order")

    assert ended.returncode == 2
    assert "shop.orders" in ended.stderr
