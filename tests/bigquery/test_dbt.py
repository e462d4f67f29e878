"""Plain `dbt build` on an emulator of BigQuery: the same rows as on DuckDB."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.bigquery.googlesql import why_refused
from tests.conftest import Database, Lake
from tests.spark.test_dbt import SCHEMAS, as_text, build, on_duckdb

pytestmark = [pytest.mark.clouds, pytest.mark.timeout(1800)]

# What the analyzer has no catalog of, or no support for.
BEYOND = re.compile(r"INFORMATION_SCHEMA|` clone `|select revision, document")

Query = Callable[[str], list[tuple[Any, ...]]]

TABLES = (
    "create table t (id numeric primary key, word text, price numeric(10, 2), whole int, u uuid,"
    " day date, clock time, at timestamptz, local timestamp, bytes bytea, x real,"
    " y float8, ok bool, fleeting text default 'old')",
    "insert into t select i, 'w' || i, i + 0.25, i, gen_random_uuid(), '1200-02-29', '12:34:56.5',"
    " '1500-01-01 00:00:00.000001+00', '9999-12-31 23:59:59.999999', '\\x00ff', 'NaN', '-Infinity',"
    " i = 2 from generate_series(1, 4) as i",
    "insert into t (id) values (5.50)",
    "update t set at = '2026-01-01 00:00:00+00' where id = 5.50",
    "create table whole (a int, b text)",
    "insert into whole values (1, 'x'), (1, 'x')",
    "create table pairs (a int, b text, v text, at timestamptz default now(), primary key (a, b))",
    "insert into pairs select i, 'k', 'v' from generate_series(1, 3) as i",
)
LATER = (
    "update t set word = 'it''s \\ new', at = '2026-01-02 00:00:00+00' where id = 1",
    "delete from t where id = 2",
    "update t set id = 5.5, clock = '23:59:59', at = '2026-01-03 00:00:00+00' where id = 5.50",
    "insert into t (id, price, at) values (7, 7.125, '2026-01-02 00:00:00+00')",
    "insert into whole values (2, 'y')",
    "update pairs set v = 'w', at = clock_timestamp() where a = 1",
    "delete from pairs where a = 2",
)
DECLARED = """
t: {cursor: at, history: true, deletes: remove, max_shrink: 90%}
whole: {mode: full_refresh}
pairs: {cursor: at, history: true, deletes: mark, max_shrink: 90%}
"""


def differences(lake: Lake, query: Query) -> dict[str, Any]:
    """By relation, the rows that only DuckDB has, and those that only BigQuery has."""
    found = {}
    path = on_duckdb(lake).root / "data/warehouse.duckdb"
    with duckdb.connect(str(path), read_only=True) as file:
        file.execute("set timezone = 'UTC'")
        tables = file.execute(
            "select table_schema, table_name, list([column_name, data_type])"
            f" from information_schema.columns where table_schema in {SCHEMAS}"
            " and column_name <> '_staged_batch' group by all"
        ).fetchall()
        for schema, table, columns in tables:
            ours_sql = ", ".join(
                f'cast("{name}" as varchar)' if kind == "UUID" else f'"{name}"'
                for name, kind in columns
            )
            theirs_sql = ", ".join(f"`{name}`" for name, _ in columns)
            ours = counted(file.execute(f"select {ours_sql} from {schema}.{table}").fetchall())
            theirs = counted(query(f"select {theirs_sql} from {schema}.{table}"))
            if ours != theirs:
                found[f"{schema}.{table}"] = (ours - theirs, theirs - ours)
    assert tables
    return found


def counted(rows: list[tuple[Any, ...]]) -> Counter[str]:
    """The rows by their texts: no NaN equals another."""
    return Counter(str(tuple(map(as_text, row))) for row in rows)


@pytest.mark.at_night
def test_googles_analyzer_understands_every_statement(
    lake: Lake, database: Database, emulated: Path
) -> None:
    database.execute(*TABLES)
    assert lake.declare(DECLARED).run().exit_code == 0
    database.execute(*LATER)
    assert lake.run().exit_code == 0

    project = lake.project.declaration.warehouse.project
    ran = [json.loads(line) for line in emulated.read_text().splitlines()]
    ours = [one for one in ran if one["project"] == project and not BEYOND.search(one["sql"])]
    refused = {one["sql"]: why_refused(one["sql"], one["tables"], project) for one in ours}

    assert len(refused) > 40
    assert {sql: why for sql, why in refused.items() if why} == {}


def test_every_type_is_the_same_as_on_duckdb_and_so_is_what_changes_later(
    lake: Lake, database: Database, query: Query
) -> None:
    database.execute(*TABLES)
    first = lake.declare(DECLARED).load()
    assert first.exit_code == 0, [table.error for table in first.failures]
    assert build(lake) == ""
    assert differences(lake, query) == {}

    database.execute(
        "alter table t alter price type numeric(12, 4), alter whole type bigint, drop fleeting",
        *LATER,
    )
    assert lake.load().exit_code == 0
    assert build(lake) == ""
    assert differences(lake, query) == {}
