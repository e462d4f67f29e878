"""Loads through a pooler that changes sessions with each transaction (PgBouncer)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lakefeed.errors import LakefeedError
from lakefeed.source.connections.connection import connection_from_url
from lakefeed.source.snapshot import open_snapshot
from tests.conftest import CONNECTION_VARIABLE, Database, Lake
from tests.integration.spelling import lake_texts, source_texts, staging
from tests.pooler import if_installed, pooled

pytestmark = [pytest.mark.faults, if_installed]

# Settings that Lakefeed must set in its own transactions.
UNKIND = {
    "timezone": "Asia/Tokyo",
    "datestyle": "SQL, DMY",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
}
COLUMNS = ["id", "at", "day", "span", "part", "bytes", "word", "zones"]
ADVISORY = "select objid from pg_locks where locktype = 'advisory'"
# `slot` in ASCII: the sessions of `max_connections` (source/connections/budget.py).
COUNTED = int.from_bytes(b"slot")
TABLES = (
    "create table t (id int primary key, at timestamptz not null default now(), day date,"
    " span interval, part float8, bytes bytea, word text, zones timestamptz[])",
    "insert into t values (1, now(), '2026-02-03', '1 mon 2 days 03:04:05', 0.1::float8 / 3,"
    " '\\x00ff41', 'größer', '{2026-02-03 04:05:06+00}')",
    "create table u as select generate_series(1, 1000) as id",
)


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role with unfavorable values for all settings."""
    name = f"p{uuid.uuid4().hex[:12]}"
    database.execute(f"create role {name} login superuser")
    for setting, value in UNKIND.items():
        database.execute(f"alter role {name} set {setting} = '{value}'")
    yield name
    database.execute(f"drop role {name}")


@pytest.fixture
def pooler(database: Database, role: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The database through the pooler, which the declared source names."""
    with pooled(database, role) as through:
        monkeypatch.setenv(CONNECTION_VARIABLE, through.url)
        yield through


def test_values_are_exact_whatever_the_settings_of_the_poolers_sessions(
    database: Database, pooler: Database, lake: Lake
) -> None:
    database.execute(*TABLES)
    lake.declare("t: {cursor: at}\nu: {mode: full_refresh}")

    report = lake.run()

    assert report.exit_code == 0, report.failures
    assert report.warnings == ()
    assert lake_texts(lake, staging("shop__t"), COLUMNS) == source_texts(database, "t", COLUMNS)


def test_a_run_that_fails_leaves_no_session_counted(database: Database, pooler: Database) -> None:
    connection = replace(connection_from_url("shop", pooler.url), most=4)

    with pytest.raises(LakefeedError, match="division"), open_snapshot(connection) as (_, session):
        assert session.budget is not None
        assert session.budget.take() and session.budget.take()
        session.cursor().execute("select 1 / 0")

    assert database.rows(f"{ADVISORY} and classid = {COUNTED}") == []


@pytest.mark.at_night
def test_runs_at_the_same_time_share_max_connections(
    database: Database, pooler: Database, lake: Lake
) -> None:
    tables = [f"t{number}" for number in range(6)]
    database.execute(*(f"create table {name} as select 1 as id" for name in tables))
    declared = "\n".join(f"{name}: {{mode: full_refresh}}" for name in tables)
    lake.declare(declared, head="    max_connections: 3\n")
    chosen = [[f"--select=shop.{name}" for name in half] for half in (tables[:3], tables[3:])]

    with ThreadPoolExecutor() as threads:
        ended = threads.map(lambda half: lake.process("load", *half), chosen)

        assert [done.returncode for done in ended] == [0, 0]
    assert [len(lake.raw(f"shop__{name}")) for name in tables] == [1] * 6
    assert database.rows(f"{ADVISORY} and classid = {COUNTED}") == []


def test_late_commits_are_found_and_no_setting_leaks_to_other_clients(
    database: Database, pooler: Database, lake: Lake
) -> None:
    database.execute(*TABLES)
    lake.declare("t: {cursor: at}\nu: {mode: full_refresh}").load()
    late = pooler.connect()
    late.cursor().execute("insert into t (id) values (2)")
    database.execute("insert into t (id) values (3)")
    lake.load()
    late.commit()
    late.close()

    lake.load()

    assert lake.raw("shop__t", "id") == [(1,), (2,), (3,)]
    assert pooler.rows("show statement_timeout") == [("0",)]
    assert pooler.rows("show intervalstyle") == [("iso_8601",)]
    assert pooler.rows("show transaction_read_only") == [("off",)]
