"""Each mode, cursor and protection of columns, with raw and the warehouse in an object store."""

from __future__ import annotations

from hashlib import sha256

import pytest

from lakefeed.orchestration.checks.audit import audit
from tests.conftest import Database, Lake, only
from tests.wal.conftest import publish

pytestmark = pytest.mark.engines

TABLES = ("by_column", "by_version", "by_log", "whole", "appended")
DECLARED = """
by_column: {cursor: at, deletes: mark, history: true}
by_version: {cursor: xmin, deletes: remove, history: true}
by_log: {cursor: wal, history: true}
whole: {mode: full_refresh, history: true}
appended: {mode: append, cursor: at}
asked: {query: 'select id, word, at from by_column', primary_key: [id], cursor: at, deletes: remove}
"""
PROTECTED = """
people:
  cursor: [changed, made]
  columns: {mail: {hash: sha256}, note: {mask: "***"}, postcode: {truncate: 3}}
"""


def test_each_brings_later_changes_and_a_new_column(logical_database: Database, lake: Lake) -> None:
    for table in TABLES:
        logical_database.execute(
            f"create table {table} (id int primary key, word text, at timestamptz default now())",
            f"insert into {table} select n, 'first' from generate_series(1, 20) n",
        )
    publish(logical_database, "by_log")
    assert lake.declare(DECLARED).run().exit_code == 0
    for table in TABLES:
        logical_database.execute(f"insert into {table} values (21, 'added')")
    # A table without a key has null in a new column of earlier rows (docs/append.md).
    for table in TABLES[:-1]:
        logical_database.execute(
            f"alter table {table} add column more text default 'new'",
            f"update {table} set word = 'second', at = clock_timestamp() where id = 1",
            f"delete from {table} where id = 2",
        )

    report = lake.run()

    assert report.exit_code == 0, report
    assert [one for one in audit(lake.project, ()).tables if not one.is_clean] == []
    for table in TABLES[:-1]:
        versions = f"select word from history.hst_shop__{table} where id = 1 order by valid_from"
        assert lake.query(versions) == [("first",), ("second",)], table
    assert lake.query("select count(*) from staging.stg_shop__appended") == [(21,)]


def test_columns_are_protected_and_followed_by_the_first_cursor_that_a_row_has(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table people (id int primary key, mail text, note text, postcode text,"
        " changed timestamptz, made timestamptz default now())",
        "insert into people values (1, 'ann@example.org', 'rude', '10115'),"
        " (2, 'bob@example.org', 'kind', '20095')",
    )
    assert lake.declare(PROTECTED).run().exit_code == 0
    database.execute(
        "update people set mail = 'eve@example.org', changed = clock_timestamp() where id = 1"
    )

    report = only(lake.run())

    staged = "select id, mail, note, postcode from staging.stg_shop__people order by id"
    assert report.rows_written == 1
    assert lake.query(staged) == [
        (1, sha256(b"eve@example.org").hexdigest(), "***", "101"),
        (2, sha256(b"bob@example.org").hexdigest(), "***", "200"),
    ]
    assert [one for one in audit(lake.project, ()).tables if not one.is_clean] == []


@pytest.mark.at_night
def test_a_paused_table_keeps_its_rows_and_goes_on_from_its_checkpoint(
    database: Database, lake: Lake
) -> None:
    for table in "ab":
        database.execute(
            f"create table {table} (id int primary key, at timestamptz default now())",
            f"insert into {table} values (1)",
        )
    assert lake.declare("a: {cursor: at}\nb: {cursor: at}").run().exit_code == 0
    for table in "ab":
        database.execute(f"insert into {table} values (2)")

    only(lake.declare("a: {cursor: at}\nb: {cursor: at, enabled: false}").run())
    assert lake.query("select id from staging.stg_shop__b") == [(1,)]

    report = lake.declare("a: {cursor: at}\nb: {cursor: at}").run()
    assert {table.name: table.rows_written for table in report.tables} == {"shop.a": 0, "shop.b": 1}
    assert lake.query("select id from staging.stg_shop__b order by id") == [(1,), (2,)]
