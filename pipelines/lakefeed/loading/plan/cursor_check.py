"""The declared cursor held against the live table."""

from __future__ import annotations

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.tables import Table
from lakefeed.errors import TableFailed
from lakefeed.source.inspection.types import CursorKind, cursor_kind

WITH_ROW_VERSIONS = ("table", "partitioned table", "partition", "materialized view")


def cursor_of(table: Table, live: CatalogueTable) -> tuple[Column | None, CursorKind | None]:
    """The live column that is declared as the cursor, and its kind; None twice where there is none.

    Raises:
        TableFailed: it can't be one.
    """
    if table.reads_row_versions and live.kind not in WITH_ROW_VERSIONS:
        raise TableFailed(
            f"{table.shown} is a {live.kind}, whose rows have no versions",
            where=table.where_of("cursor"),
            do="name a column as its cursor, or use `mode: full_refresh`",
        )
    if table.cursor is None:
        return None, None
    column = live.column(table.cursor.column)
    where = table.where_of("cursor")
    if column is None:
        raise TableFailed(
            f"{table.shown} has no column `{table.cursor.column}` to use as its cursor",
            where=where,
            do="name another cursor, or unset it and use `mode: full_refresh`; its columns are: "
            + ", ".join(column.name for column in live.columns),
        )
    kind = cursor_kind(column.type)
    if kind is None:
        raise TableFailed(
            f"`{column.name}` of {table.shown} is {column.type}, which can't be a cursor",
            where=where,
            do="a cursor is a timestamp, a date or a whole number",
        )
    if kind == "timestamp" and not table.cursor.timezone:
        raise TableFailed(
            f"`{column.name}` of {table.shown} is a timestamp without time zone",
            where=where,
            do=f"say which zone it is kept in: cursor: {{column: {column.name}, timezone: UTC}}",
        )
    _check_lookback(table, kind)
    return column, kind


def _check_lookback(table: Table, kind: CursorKind) -> None:
    lookback = table.settings.lookback
    is_number = isinstance(lookback, int)
    if lookback and is_number != (kind == "number"):
        raise TableFailed(
            f"`lookback` of {table.shown} doesn't fit its cursor",
            where=table.where_of("lookback"),
            do="a numeric cursor takes a plain number"
            if kind == "number"
            else "a cursor of time takes a duration such as 30m",
        )
