"""Rows of Snowflake as Arrow tables, with the types that DuckDB has for their values.

Snowflake's connector makes such tables only where pandas is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lakefeed.transformation.targets.snowflake import Snowflake, run
from lakefeed.transformation.targets.snowflake_names import name_of

_TYPES = {
    "REAL": pa.float64(),
    "TEXT": pa.string(),
    "BINARY": pa.binary(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP_NTZ": pa.timestamp("us"),
    "TIMESTAMP_TZ": pa.timestamp("us", "UTC"),
    "TIMESTAMP_LTZ": pa.timestamp("us", "UTC"),
}
_NUMBER = "FIXED"
_MOST_DIGITS = 18


def arrow_of(snowflake: Snowflake, sql: str) -> pa.Table:
    """The rows of a query; its columns have the names that models have.

    Raises:
        StatementFailed: Snowflake refuses it, or the connection was lost.
    """
    from snowflake.connector.constants import FIELD_ID_TO_NAME

    cursor = run(snowflake, sql)
    described = cursor.description
    rows: Sequence[tuple[Any, ...]] = cursor.fetchall()
    columns = [
        pa.array([row[at] for row in rows], _type_of(FIELD_ID_TO_NAME[column.type_code], column))
        for at, column in enumerate(described)
    ]
    return pa.table(columns, names=[name_of(column.name) for column in described])


def _type_of(kind: str, column: Any) -> pa.DataType:
    if kind != _NUMBER:
        # What is semi-structured comes as its JSON.
        return _TYPES.get(kind, pa.string())
    if not column.scale and (column.precision or 38) <= _MOST_DIGITS:
        return pa.int64()
    return pa.decimal128(38, column.scale or 0)
