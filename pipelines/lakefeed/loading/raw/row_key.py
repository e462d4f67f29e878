"""The key of one row as people type it, held against the types of its columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.tables import Table
from lakefeed.errors import DeclarationError
from lakefeed.source.inspection.equality import compared
from lakefeed.source.inspection.types import lake_type
from lakefeed.sql import literal, quote

_NUMBERS = re.compile(r"^(smallint|integer|bigint|decimal)")


@dataclass(frozen=True)
class KeyPart:
    """A column of the key, and the value that is looked for, as it was typed."""

    column: Column
    text: str

    @property
    def type(self) -> str:
        """The column's type in the lake."""
        return lake_type(self.column.type).duckdb

    @property
    def value(self) -> str:
        """The value as an expression of DuckDB's; null where it isn't one of the type."""
        if self.type == "blob" and self.text.startswith("\\x"):
            return f"unhex({literal(self.text[2:])})"
        text = _without_exponent(self.text) if self.column.type == "numeric" else self.text
        return f"try_cast({literal(text)} as {self.type})"

    def is_in(self, expression: str, held_as: str = "") -> str:
        """A condition: this expression is the value.

        Args:
            held_as: its type, where that is known; Parquet's statistics help where it is the same.
        """
        same = held_as.lower() == self.type
        found = expression if same else f"try_cast({expression} as {self.type})"
        kind = self.column.type
        return f"{compared(found, kind)} = {compared(self.value, kind)}"


Key = tuple[KeyPart, ...]


def condition_on(key: Key, types: Mapping[str, str]) -> str | None:
    """What is true of the row with this key, in files with columns of these types.

    None where a column of the key isn't among them.
    """
    held_as = {name.lower(): kind for name, kind in types.items()}
    if any(part.column.name.lower() not in held_as for part in key):
        return None
    return " and ".join(
        part.is_in(quote(part.column.name), held_as[part.column.name.lower()]) for part in key
    )


def parse_key(engine: DuckDBPyConnection, table: Table, values: Sequence[str]) -> Key:
    """The key that these values are, in the order of the table's key columns.

    Raises:
        DeclarationError: the table has no key, or these can't be its values.
    """
    if not table.key or table.catalogue is None:
        raise DeclarationError(
            f"{table.shown} has no key, so that one row can't be told from the others"
            if table.catalogue
            else f"{table.shown} was never loaded, so that its key isn't known",
            where=table.where,
            do="name the columns that identify a row (`primary_key: [a, b]`)"
            if table.catalogue
            else f"lakefeed run --select {table.shown}",
        )
    if len(values) != len(table.key):
        told = " ".join(f"<{name}>" for name in table.key)
        raise DeclarationError(
            f"the key of {table.shown} is {', '.join(table.key)}: "
            f"{len(table.key)} {'value' if len(table.key) == 1 else 'values'}; "
            f"{len(values)} {'was' if len(values) == 1 else 'were'} given",
            where=table.where_of("primary_key"),
            do=f"give them in this order: {table.shown} {told}",
        )
    columns = [table.catalogue.column(name) for name in table.key]
    parts = [KeyPart(one, text) for one, text in zip(columns, values, strict=True) if one]
    for part in parts:
        _refuse_unfit(engine, table, part)
    return tuple(parts)


def _refuse_unfit(engine: DuckDBPyConnection, table: Table, part: KeyPart) -> None:
    try:
        (found,) = engine.execute(f"select ({part.value})::varchar").fetchall()[0]
    except duckdb.Error:
        found = None
    if found is None or (_NUMBERS.match(part.type) and not _is_same_number(found, part.text)):
        raise DeclarationError(
            f"`{part.text}` can't be a value of `{part.column.name}` of {table.shown}, which is "
            f"{part.column.type}",
            where=table.where,
            do=f"the key is {', '.join(table.key)}, in this order",
        )


def _without_exponent(text: str) -> str:
    """A number as PostgreSQL writes it."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return format(number, "f") if number.is_finite() else text


def _is_same_number(found: str, text: str) -> bool:
    """DuckDB rounds what doesn't fit."""
    try:
        return Decimal(found) == Decimal(text)
    except InvalidOperation:
        return False
