"""Checks the declared cursor against the live table."""

from __future__ import annotations

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.explain import shown
from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed
from lakefeed.loading.plan.cursor_columns import CursorColumns
from lakefeed.source.inspection.types import CursorKind, cursor_kind

WITH_ROW_VERSIONS = ("table", "partitioned table", "partition", "materialized view")


def cursor_of(table: Table, live: CatalogueTable) -> tuple[CursorColumns | None, CursorKind | None]:
    """The live columns declared as the cursor, and its kind; both None without a cursor column.

    Raises:
        TableFailed: a column doesn't exist or can't be a cursor, or they have different types.
    """
    if table.reads_row_versions and live.kind not in WITH_ROW_VERSIONS:
        raise TableFailed(
            f"{table.shown} is a {live.kind}: its rows have no `xmin`",
            where=table.where_of("cursor"),
            do="use a column as its cursor, or set `mode: full_refresh`",
        )
    if table.cursor is None:
        return None, None
    columns = tuple(_column(table, live, name) for name in table.cursor.columns)
    kind = _kind(table, columns)
    _check_lookback(table, kind)
    return CursorColumns(table.cursor, columns), kind


def _column(table: Table, live: CatalogueTable, name: str) -> Column:
    column = live.column(name)
    if column is None:
        raise TableFailed(
            f"{table.shown} has no column `{name}` to use as its cursor",
            where=table.where_of("cursor"),
            do="use another column, or remove the cursor and set `mode: full_refresh`; the columns "
            "are: " + ", ".join(column.name for column in live.columns),
        )
    return column


def _kind(table: Table, columns: tuple[Column, ...]) -> CursorKind:
    assert table.cursor is not None
    column, where = columns[0], table.where_of("cursor")
    if len({column.type for column in columns}) > 1:
        types = ", ".join(f"`{column.name}` is {column.type}" for column in columns)
        raise TableFailed(
            f"the columns in the cursor of {table.shown} have different types: {types}",
            where=where,
            do="use columns of the same type",
        )
    kind = cursor_kind(column.type)
    if kind is None:
        raise TableFailed(
            f"`{column.name}` of {table.shown} has type {column.type} and can't be a cursor",
            where=where,
            do="use a timestamp, a date or an integer column",
        )
    if kind == "timestamp" and not table.cursor.timezone:
        raise TableFailed(
            f"`{column.name}` of {table.shown} is a timestamp without time zone",
            where=where,
            do=f"declare its time zone: cursor: {{column: {shown(table.cursor.column)}, "
            "timezone: UTC}",
        )
    return kind


def _check_lookback(table: Table, kind: CursorKind) -> None:
    lookback = table.settings.lookback
    is_number = isinstance(lookback, int)
    if lookback and is_number != (kind == "number"):
        raise TableFailed(
            f"`lookback` of {table.shown} doesn't match the type of its cursor",
            where=table.where_of("lookback"),
            do="use a number, since the cursor is numeric"
            if kind == "number"
            else "use a duration such as 30m, since the cursor is a date or time",
        )
