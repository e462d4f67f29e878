"""Parses the key of one row, as typed on the command line, by the types of the key columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.table import Table
from lakefeed.errors import DeclarationError
from lakefeed.source.inspection.equality import compared
from lakefeed.source.inspection.types import lake_type
from lakefeed.sql import literal, quote

_NUMBERS = re.compile(r"^(smallint|integer|bigint|decimal)")


@dataclass(frozen=True)
class KeyPart:
    """A column of the key, and the value to look for, as typed."""

    column: Column
    text: str

    @property
    def type(self) -> str:
        """The column's type in the lake."""
        return lake_type(self.column.type).duckdb

    @property
    def value(self) -> str:
        """The value as a DuckDB expression, which is null if the text doesn't fit the type."""
        if self.type == "blob" and self.text.startswith("\\x"):
            return f"unhex({literal(self.text[2:])})"
        text = _without_exponent(self.text) if self.column.type == "numeric" else self.text
        return f"try_cast({literal(text)} as {self.type})"

    def is_in(self, expression: str, stored_as: str = "") -> str:
        """The condition that this expression equals the value.

        Args:
            stored_as: the expression's type, if known; without a cast, DuckDB can use Parquet's
                statistics.
        """
        same = stored_as.lower() == self.type
        found = expression if same else f"try_cast({expression} as {self.type})"
        kind = self.column.type
        return f"{compared(found, kind)} = {compared(self.value, kind)}"


Key = tuple[KeyPart, ...]


def condition_on(key: Key, types: Mapping[str, str]) -> str | None:
    """The condition for the row with this key, in files with columns of these types.

    None if a column of the key isn't among them.
    """
    stored_as = {name.lower(): kind for name, kind in types.items()}
    if any(part.column.name.lower() not in stored_as for part in key):
        return None
    return " and ".join(
        part.is_in(quote(part.column.name), stored_as[part.column.name.lower()]) for part in key
    )


def parse_key(engine: DuckDBPyConnection, table: Table, values: Sequence[str]) -> Key:
    """Parses these values as a key, in the order of the table's key columns.

    Raises:
        DeclarationError: the table has no key, or the values don't fit its columns.
    """
    if table.appends:
        raise DeclarationError(
            f"{table.shown} has no key to identify a row by: `mode: append` keeps rows without one",
            where=table.where_of("mode"),
            do="select its rows in staging, where `_dlt_load_id` names the load of each; or load "
            "it with a key (`primary_key: [a, b]`, `mode: incremental`)",
        )
    if not table.key or table.catalogue is None:
        raise DeclarationError(
            f"{table.shown} has no key to identify a row by"
            if table.catalogue
            else f"{table.shown} has never been loaded, so its key isn't known",
            where=table.where,
            do="name the columns that identify a row (`primary_key: [a, b]`)"
            if table.catalogue
            else f"lakefeed run --select {table.shown}",
        )
    if len(values) != len(table.key):
        usage = " ".join(f"<{name}>" for name in table.key)
        raise DeclarationError(
            f"the key of {table.shown} is ({', '.join(table.key)}): expected "
            f"{len(table.key)} {'value' if len(table.key) == 1 else 'values'}, got {len(values)}",
            where=table.where_of("primary_key"),
            do=f"pass the values in this order: {table.shown} {usage}",
        )
    columns = [table.column(name) for name in table.key]
    parts = [KeyPart(column, text) for column, text in zip(columns, values, strict=True) if column]
    for part in parts:
        _check_value(engine, table, part)
    return tuple(parts)


def _check_value(engine: DuckDBPyConnection, table: Table, part: KeyPart) -> None:
    try:
        (found,) = engine.execute(f"select ({part.value})::varchar").fetchall()[0]
    except duckdb.Error:
        found = None
    if found is None or (_NUMBERS.match(part.type) and not _is_same_number(found, part.text)):
        raise DeclarationError(
            f"`{part.text}` isn't a valid {part.column.type} for `{part.column.name}` of "
            f"{table.shown}",
            where=table.where,
            do=f"pass the key in this order: {', '.join(table.key)}",
        )


def _without_exponent(text: str) -> str:
    """A number in PostgreSQL's output format."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return format(number, "f") if number.is_finite() else text


def _is_same_number(found: str, text: str) -> bool:
    """Whether DuckDB didn't round the number to fit the type."""
    try:
        return Decimal(found) == Decimal(text)
    except InvalidOperation:
        return False
