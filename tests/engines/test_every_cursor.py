"""Each mode and each cursor, with raw and the warehouse in an object store."""

from __future__ import annotations

import pytest

from lakefeed.orchestration.checks.audit import audit
from tests.conftest import Database, Lake
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
