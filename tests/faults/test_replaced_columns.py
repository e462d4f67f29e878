"""Columns that become others on a server that is older, and has postgres_fdw and citext."""

from __future__ import annotations

import pytest
from psycopg2.extensions import parse_dsn

from tests.conftest import Database, Lake, only

pytestmark = pytest.mark.faults


@pytest.mark.parametrize(
    ("change", "shows"),
    [
        ("alter foreign table t alter a options (set column_name 'second')", "second"),
        ("alter foreign table t options (set table_name 'other')", "other"),
    ],
)
def test_a_changed_foreign_table_is_read_whole(
    debian_database: Database, lake: Lake, change: str, shows: str
) -> None:
    at = parse_dsn(debian_database.url)
    debian_database.execute(
        "create table far (id int, first text, second text, at timestamptz)",
        "insert into far values (1, 'first', 'second', '2026-01-01Z')",
        "create table other as select id, 'other' as first, second, at from far",
        "create extension postgres_fdw",
        "create server here foreign data wrapper postgres_fdw "
        f"options (host '{at['host']}', dbname '{at['dbname']}')",
        "create user mapping for public server here options (user 'postgres')",
        "create foreign table t (id int, a text options (column_name 'first'), at timestamptz) "
        "server here options (table_name 'far')",
    )
    lake.declare("t: {cursor: at, primary_key: id}")
    assert only(lake.load()).rows_written == 1
    assert only(lake.load()).status == "unchanged"
    debian_database.execute(change)

    told = only(lake.load())

    assert told.notes == ("its definition changed, so the table is read whole",)
    assert lake.raw("shop__t", "a") == sorted([("first",), (shows,)])
    assert only(lake.load()).status == "unchanged"


def test_column_identities_are_known_on_an_older_server(
    debian_database: Database, lake: Lake
) -> None:
    debian_database.execute(
        "create extension citext",
        "create type mood as enum ('sad', 'ok')",
        "create type moods as range (subtype = citext)",
        "create table t (id int primary key, m mood, c citext, r moods, "
        "g int generated always as (id * 2) stored, at timestamptz default now())",
        "insert into t values (1, 'ok', 'A', '[a,b]')",
        "create view v as select id, m::text as m, c, g, at from t",
    )
    lake.declare("t: {cursor: at}\nv: {cursor: at, primary_key: id}")
    assert lake.load().exit_code == 0
    assert {table.status for table in lake.load().tables} == {"unchanged"}
    debian_database.execute("alter type mood rename value 'ok' to 'fine'")

    report = lake.load()

    assert [table.rows_read for table in report.tables] == [1, 1]
    assert [table.notes[0].partition(":")[0] for table in report.tables] == [
        "labels or attributes in the type of column `m` were renamed",
        "its definition changed, so the table is read whole",
    ]
