"""Loads through a pooler that changes sessions with each transaction (PgBouncer)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

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
