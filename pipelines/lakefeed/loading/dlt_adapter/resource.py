"""One table as a dlt resource: `sql_table` with `dlt.sources.incremental`, read by our backend."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import dlt
import sqlalchemy as sa
from dlt.common.schema.typing import TColumnSchema
from dlt.sources.sql_database import sql_table

from lakefeed.loading.dlt_adapter.backend import BACKEND, Handover
from lakefeed.loading.extract.extraction import Extraction, ExtractionResult
from lakefeed.loading.extract.window import Window
from lakefeed.loading.plan.column_names import WAL_LSN
from lakefeed.loading.plan.cursors import CursorValue, largest
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.source.inspection.types import lake_type


def extract_with_dlt(pipeline: dlt.Pipeline, extraction: Extraction) -> ExtractionResult:
    """Has dlt extract one table into a load package, which is then pending if there is a load.

    Raises: whatever reading the table raises, within dlt's exceptions.
    """
    _forget_other_columns(pipeline, extraction.plan)
    handover = Handover(extraction)
    pipeline.extract(_resource_of(handover), loader_file_format="parquet")
    assert handover.result is not None
    return handover.result


def _resource_of(handover: Handover) -> dlt.sources.DltResource:
    """dlt's `sql_table` with its incremental, read by our backend."""
    plan = handover.extraction.plan
    resource = sql_table(
        credentials=_dialect_only_engine(),
        table=plan.table.name,
        schema=_schema_of(plan),
        metadata=_sql_table_of(plan),
        backend=BACKEND,  # type: ignore[arg-type]
        backend_kwargs={"handover": handover},
        reflection_level="minimal",
        incremental=_incremental(plan, handover.extraction.window),
    ).with_name(plan.table.short_name)
    return resource.apply_hints(columns=_naive_timestamps(plan))


def _incremental(plan: TablePlan, window: Window) -> dlt.sources.incremental[Any] | None:
    if plan.table.reads_log:
        return dlt.sources.incremental(WAL_LSN, primary_key=(), allow_external_schedulers=False)
    if plan.cursor is None or plan.cursor_kind is None:
        return None
    missing = plan.table.settings.on_null_cursor
    start: CursorValue | None = plan.initial_value
    end: CursorValue | None = None
    if window.is_backfill:
        # With an end, dlt leaves its state alone.
        start, end = window.start, window.end
        end = largest(plan.cursor_kind) if end is None else end
    return dlt.sources.incremental(
        # dlt knows cursors of one column only: the backend puts the value of several in its place.
        _json_path(plan.cursor.declared.columns[0]),
        initial_value=start,
        end_value=end,
        # Without a key dlt keeps no hashes of the rows at the checkpoint, which may be any number.
        primary_key=(),
        on_cursor_value_missing="exclude" if missing == "exclude" else "include",
        range_start="closed",
        range_end="open",
        allow_external_schedulers=False,
    )


def _json_path(column: str) -> str:
    """dlt reads a cursor as a JSON path, in which all but plain words must be quoted."""
    if re.fullmatch(r"(?!where)[A-Za-z_]\w*", column, re.ASCII):
        return column
    return "'" + column.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _forget_other_columns(pipeline: dlt.Pipeline, plan: TablePlan) -> None:
    """Removes the table from dlt's schema if its columns changed, even in order.

    dlt rewrites a file whose columns differ from those in its schema.
    (tests/integration/test_staging.py, test_files_stay_as_they_were_written…)
    """
    name = plan.table.short_name
    if pipeline.schema_names and name in pipeline.default_schema.tables:
        known = list(pipeline.default_schema.tables[name]["columns"])
        if known != plan.written_columns:
            pipeline.default_schema.drop_tables([name])


def _sql_table_of(plan: TablePlan) -> sa.MetaData:
    """The table for SQLAlchemy, from what the plan knows: it isn't reflected a second time.

    Every column is nullable, as in the Parquet files that DuckDB writes. If one weren't, dlt would
    rewrite the file.
    """
    schema = _schema_of(plan)
    metadata = sa.MetaData(schema=_quoted(schema) if schema else None)
    columns = [
        sa.Column(_quoted(c.name), _cursor_type(plan, c.name), nullable=True) for c in plan.columns
    ]
    if plan.table.reads_log:
        columns.append(sa.Column(WAL_LSN, sa.BigInteger(), nullable=True))
    sa.Table(_quoted(plan.table.name), metadata, *columns)
    return metadata


def _schema_of(plan: TablePlan) -> str | None:
    """None for a query, which the backend names before dlt's own query."""
    return plan.table.schema if plan.table.query is None else None


def _quoted(name: str) -> sa.quoted_name:
    """A name that is always quoted: SQLAlchemy takes one that ends with a line break for plain."""
    return sa.quoted_name(name, quote=True)


def _naive_timestamps(plan: TablePlan) -> dict[str, TColumnSchema]:
    """Hints without which dlt would rewrite the file and convert naive timestamps to UTC."""
    return {
        column.name: {"name": column.name, "data_type": "timestamp", "timezone": False}
        for column in plan.columns
        if lake_type(column.type).duckdb == "timestamp"
    }


@cache
def _dialect_only_engine() -> sa.Engine:
    """An engine that compiles SQL for PostgreSQL and never connects."""

    def refuse() -> None:
        raise AssertionError("Lakefeed's backend reads through DuckDB")

    return sa.create_engine("postgresql+psycopg2://", creator=refuse)


def _cursor_type(plan: TablePlan, column: str) -> sa.types.TypeEngine[Any]:
    if plan.cursor is None or column not in plan.cursor.names:
        return sa.types.NullType()
    if plan.cursor_kind == "number":
        return sa.BigInteger()
    if plan.cursor_kind == "date":
        return sa.Date()
    return sa.DateTime(timezone=plan.cursor_kind == "timestamptz")
