"""Rows of a query exactly, where the client has texts of times and of what is nested.

in Spark           asked for as               in Arrow
timestamp          microseconds               timestamp[us, UTC]
timestamp_ntz      microseconds               timestamp[us]
date               days                       date32
decimal            text                       decimal128
float              double                     float
array, map, struct JSON text                  string
any other          itself                     its own
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lakefeed.transformation.targets.spark import quoted

if TYPE_CHECKING:
    import pyarrow as pa

_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
_NESTED = ("array", "map", "struct")
_ASKED = {
    "timestamp": "unix_micros({})",
    # The zone of the session is UTC.
    "timestamp_ntz": "unix_micros(cast({} as timestamp))",
    "date": "unix_date({})",
    "float": "cast({} as double)",
}
_AS_THEY_ARE = ("boolean", "tinyint", "smallint", "int", "bigint", "double", "binary", "string")


@dataclass(frozen=True)
class Column:
    """A column of a query, and its type in Spark."""

    name: str
    kind: str

    @property
    def is_nested(self) -> bool:
        return self.kind.startswith(_NESTED)

    def asked(self, value: str) -> str:
        """The expression whose value arrives exactly."""
        if self.is_nested:
            return f"to_json({value})"
        if self.kind in _AS_THEY_ARE:
            return value
        return _ASKED.get(self.kind, "cast({} as string)").format(value)

    def array(self, values: Sequence[Any]) -> pa.Array:
        """The values that arrived, as Arrow has them."""
        import pyarrow as pa

        types = {
            "boolean": pa.bool_(),
            "tinyint": pa.int8(),
            "smallint": pa.int16(),
            "int": pa.int32(),
            "bigint": pa.int64(),
            "float": pa.float32(),
            "double": pa.float64(),
            "binary": pa.binary(),
            "date": pa.date32(),
            "timestamp": pa.timestamp("us", tz="UTC"),
            "timestamp_ntz": pa.timestamp("us"),
        }
        if found := _DECIMAL.fullmatch(self.kind):
            decimals = [None if value is None else Decimal(value) for value in values]
            return pa.array(decimals, pa.decimal128(int(found[1]), int(found[2])))
        return pa.array(values, types.get(self.kind, pa.string()))


def columns_of(described: Sequence[Sequence[Any]]) -> list[Column]:
    """The columns of a query, from what `describe query` says."""
    return [Column(name, kind) for name, kind, *_ in described]


def exact_query(columns: Sequence[Column], sql: str) -> str:
    """The query of the same rows, all of whose values arrive exactly."""
    names = [f"c{number}" for number in range(len(columns))]
    asked = [column.asked(quoted(name)) for name, column in zip(names, columns, strict=True)]
    return f"select {', '.join(asked)} from (\n{sql}\n) as found ({', '.join(names)})"


def arrow_of(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """The rows of an exact query as an Arrow table."""
    import pyarrow as pa

    by_column = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    arrays = [column.array(values) for column, values in zip(columns, by_column, strict=True)]
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])
