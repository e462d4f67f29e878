"""The columns of a cursor, checked against the live table, and the one value that they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.explain import shown
from lakefeed.declaration.models.table_settings import Cursor
from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed
from lakefeed.source.inspection.types import CursorKind, cursor_kind
from lakefeed.sql import quote

WITH_ROW_VERSIONS = ("table", "partitioned table", "partition", "materialized view")


@dataclass(frozen=True)
class CursorColumns:
    """A declared cursor and its live columns, which have the same type.

    A cursor of several columns is never stored: the source and raw compute it from the columns.
    """

    declared: Cursor
    columns: tuple[Column, ...]

    @property
    def name(self) -> str:
        """What messages call it: `updated_at`, `coalesce(updated_at, created_at)`."""
        return self.declared.name

    @property
    def recorded(self) -> str:
        """What manifests call it: `updated_at`, but `{column: wal}`."""
        return self.declared.recorded

    @property
    def names(self) -> frozenset[str]:
        """The names of its columns."""
        return frozenset(self.declared.columns)

    @property
    def is_of_several(self) -> bool:
        """Whether it is computed from several columns."""
        return len(self.columns) > 1

    @property
    def type(self) -> str:
        """The type of its columns in the source."""
        return self.columns[0].type

    def value(self, rows: str = "") -> str:
        """The cursor of a row as an expression, in the source and in raw alike.

        Args:
            rows: the relation that has the columns; needn't be given if it is the only one.
        """
        of = f"{rows}." if rows else ""
        return value_of(self.declared, [of + quote(column.name) for column in self.columns])


def value_of(cursor: Cursor, values: Sequence[str]) -> str:
    """The cursor as an expression, in PostgreSQL and DuckDB alike.

    Both `greatest` functions ignore nulls.

    Args:
        values: an expression for each of its columns, in their order.
    """
    if cursor.function is None:
        return values[0]
    return f"{cursor.function}({', '.join(values)})"


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
