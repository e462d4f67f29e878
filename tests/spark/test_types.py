"""Types on Spark arrive as docs/types.md says: all their values do, or are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from lakefeed.conformance.spelling import Row, lake_texts, source_texts
from lakefeed.conformance.values import CASES, INFINITE, fill
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.sessions.duckdb_engine import engine_for
from lakefeed.source.inspection.types import lake_type
from lakefeed.transformation.dbt_adapter.spark.raw_rows import open_rows
from lakefeed.transformation.dbt_adapter.spark.types import holds_infinity, spark_type
from lakefeed.transformation.targets.spark import StatementFailed
from lakefeed.transformation.targets.spark_session import open_session
from lakefeed.transformation.warehouse.declared import warehouse_of
from tests.conftest import Database, Lake, only
from tests.spark.conftest import Running

pytestmark = [pytest.mark.spark, pytest.mark.at_night, pytest.mark.timeout(900)]

Rows = Callable[[str], list[tuple[Any, ...]]]


def test_all_finite_values_are_staged_exactly_in_the_types_that_the_page_names(
    database: Database, lake: Lake, spark: Rows
) -> None:
    with closing(database.connect()) as session:
        lacking = fill(session, "catalogue", engine="spark")
    lake.declare("catalogue: {cursor: at}")
    assert lake.run().exit_code == 0
    columns = ["id", *(name for name in CASES if name not in lacking)]

    with engine_for(lake.project) as engine:
        item = warehouse_of(lake.project).attach(engine, "stg_shop__catalogue")
        staged = lake_texts(lambda sql: engine.execute(sql).fetchall(), item, columns)

    expected = source_texts(database.rows, "catalogue", columns)
    differing = {
        name: (found, wanted)
        for place, name in enumerate(columns)
        if (found := values(name, staged, place)) != (wanted := values(name, expected, place))
    }
    assert differing == {}
    (table,) = lake.project.tables
    assert table.catalogue is not None
    observed = {name: kind for name, kind, *_ in spark("describe table public.stg_shop__catalogue")}
    named = {c.name: spark_type(lake_type(c.type).duckdb) for c in table.catalogue.columns}
    assert {name: observed[name] for name in named} == named


def values(name: str, rows: list[Row], place: int) -> list[str | None]:
    """The texts of a column. A table may keep -0.0 as the 0.0 that it equals."""
    is_float = name in CASES and CASES[name].type in ("real", "double precision")
    return ["0" if is_float and row[place] == "-0" else row[place] for row in rows]


def test_each_infinite_time_is_refused_with_its_column(
    database: Database, lake: Lake, running: Running, catalog: str
) -> None:
    with closing(database.connect()) as session:
        fill(session, "catalogue")
    only(lake.declare("catalogue: {cursor: at}").load())
    (table,) = lake.project.tables
    assert table.catalogue is not None
    types = {column.name: lake_type(column.type).duckdb for column in table.catalogue.columns}
    log = CommitLog(lake.project.raw, table.lake_name)
    folder = f"{lake.raw_url}/{table.lake_name}"
    loads = [{"folder": folder, "load_id": load.load_id, "files": load.files}
             for load in log.loads()]  # fmt: skip
    spark = open_session(running.remote, catalog)
    open_rows(spark, "opened", loads, types, lake.project.raw)
    told = {}
    for name, case in CASES.items():
        for number, value in enumerate(case.values):
            if value in INFINITE and not holds_infinity(types[name]):
                with pytest.raises(StatementFailed) as refused:
                    spark.rows(f"select `{name}` from opened where id = {number}")
                told[name, value] = str(refused.value)

    assert {name for name, _ in told} >= {"date", "timestamp", "timestamptz", "domain_date"}
    assert [
        key for key, text in told.items() if f"column {key[0]} holds infinity" not in text
    ] == []
