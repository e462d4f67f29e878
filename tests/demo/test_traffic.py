"""The traffic of the demo's shop, on a real PostgreSQL."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import pytest

from lakefeed.demo.traffic import live_on, open_shop
from tests.conftest import Database, Lake

pytestmark = pytest.mark.builds

COMMAND = [sys.executable, "-m", "lakefeed.demo.traffic"]

# Of the shop's rules, those that the marts are tested for.
BROKEN = {
    "an order's total is that of its lines": """
        select order_id from orders join order_lines using (order_id) group by order_id
        having max(total) <> sum(quantity * unit_price)
    """,
    "a cancelled order is refunded": """
        select order_id from orders join payments using (order_id) where status = 'cancelled'
        group by order_id having sum(case kind when 'refund' then -amount else amount end) <> 0
    """,
}


@pytest.fixture
def session(database: Database) -> Iterator[Any]:
    with closing(database.connect()) as session:
        yield session


def started(database: Database, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env={**os.environ, "SHOP_DATABASE_URL": database.url},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_an_empty_database_is_filled_once(database: Database, session: Any) -> None:
    filled = open_shop(session)

    assert filled > 8000
    assert open_shop(session) == 0
    assert database.rows("select count(*) from orders") == [(1500,)]


def test_every_kind_of_change_occurs_and_the_shop_stays_consistent(
    database: Database, session: Any
) -> None:
    open_shop(session)
    before = database.rows("select count(*) from orders")[0][0]

    told = " ".join(event.what for event in islice(live_on(session, random.Random(7)), 150))

    for what in ("placed", "shipped", "cancelled", "moved house", "new price"):
        assert what in told
    assert database.rows("select count(*) from orders")[0][0] > before + 90
    assert [rule for rule, query in BROKEN.items() if database.rows(query)] == []


def test_a_shop_is_alive_while_orders_are_placed(database: Database, session: Any) -> None:
    open_shop(session)
    asleep = started(database, "--check").wait(30)
    list(islice(live_on(session, random.Random(7)), 10))
    alive = started(database, "--check").wait(30)

    assert (asleep, alive) == (1, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_creates_the_shop_generates_traffic_and_stops_at_once(
    database: Database, number: signal.Signals
) -> None:
    process = started(database, "--pause", "30")
    assert process.stdout is not None
    opened, happened = process.stdout.readline(), process.stdout.readline()

    asked = time.monotonic()
    process.send_signal(number)

    assert process.wait(10) == 0
    assert time.monotonic() - asked < 5
    assert opened.startswith("created the shop with ")
    assert happened


@pytest.mark.at_night
def test_builds_pass_their_tests_if_tables_are_read_at_different_snapshots(
    database: Database, shop: Lake
) -> None:
    """Like Airflow's tasks, so that lines and payments may be older than their orders."""
    process = started(database, "--pause", "0.02")
    assert process.stdout is not None
    process.stdout.readline()
    environment = {"SHOP_DATABASE_URL": database.url}
    others = (table.name for table in shop.project.tables)
    try:
        for name in dict.fromkeys(["order_lines", "payments", *others]):
            loaded = shop.command("load", "--select", f"shop.{name}", **environment)
            assert loaded.returncode == 0, loaded
        built = shop.command("build", **environment)
    finally:
        process.kill()
        process.wait()

    assert built.returncode == 0, built.stdout
