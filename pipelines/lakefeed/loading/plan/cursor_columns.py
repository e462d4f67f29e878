"""The columns of a cursor, and the one value that they make for each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.models.table_settings import Cursor
from lakefeed.sql import quote


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
