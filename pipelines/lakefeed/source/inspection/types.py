"""Maps PostgreSQL types to the lake's types, and reads their values without loss.

A type for which DuckDB has one with the same values is read as that; any other type is read as
PostgreSQL's text, which is always exact. The list of the former is short on purpose.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

CursorKind = Literal["timestamptz", "timestamp", "date", "number"]

_SAME = {
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "real": "float",
    "double precision": "double",
    "boolean": "boolean",
    "text": "varchar",
    "date": "date",
    "uuid": "uuid",
    "bytea": "blob",
}
_VARCHAR = re.compile(r"^character varying(\(\d+\))?$")
_NUMERIC = re.compile(r"^numeric\((\d+),(-?\d+)\)$")
_TIMESTAMP = re.compile(r"^timestamp(\(\d\))? without time zone$")
_TIMESTAMPTZ = re.compile(r"^timestamp(\(\d\))? with time zone$")
_TIME = re.compile(r"^time(\(\d\))? without time zone$")
_SAME_WITH_MODIFIER = (
    (_VARCHAR, "varchar"),
    (_TIMESTAMPTZ, "timestamptz"),
    (_TIMESTAMP, "timestamp"),
    (_TIME, "time"),
)
_TEXT = re.compile(r"^(?:text|character varying(?:\((\d+)\))?)$")
_CLOCK = re.compile(r"^(timestamp|time)(?:\((\d)\))?( with(?:out)? time zone)$")
_MICROSECONDS = 6
_WIDEST_DECIMAL = 38

# DuckDB's timestamps are 64-bit microseconds since 1970; PostgreSQL's range ends 29 years later.
_LAST_TIMESTAMP = "294247-01-01"


@dataclass(frozen=True)
class LakeType:
    """A column's type in the lake, and whether it is stored as PostgreSQL's text."""

    duckdb: str
    as_text: bool


def lake_type(pg_type: str) -> LakeType:
    """The lake's type for a type in the format of `format_type`, with domains resolved."""
    if pg_type in _SAME:
        return LakeType(_SAME[pg_type], False)
    for pattern, duckdb in _SAME_WITH_MODIFIER:
        if pattern.match(pg_type):
            return LakeType(duckdb, False)
    numeric = _NUMERIC.match(pg_type)
    if numeric and 0 <= int(numeric[2]) <= int(numeric[1]) <= _WIDEST_DECIMAL:
        return LakeType(f"decimal({numeric[1]},{numeric[2]})", False)
    return LakeType("varchar", True)


# How DuckDB parses the text that PostgreSQL writes for each of the lake's types but decimals.
_FROM_TEXT = {
    "boolean": "{}::boolean",
    "blob": "unhex(substr({}, 3))",
    "date": "replace({}, ' BC', ' (BC)')::date",
    "timestamp": r"regexp_replace({}, '^([^ ]+) (.*) BC$', '\1 (BC) \2')::timestamp",
    "timestamptz": r"regexp_replace({}, '^([^ ]+) (.*) BC$', '\1 (BC) \2')::timestamptz",
    "varchar": "{}",
}


def parsed_text(value: str, duckdb_type: str) -> str:
    """The DuckDB SQL that reads PostgreSQL's text of a value as a type of the lake.

    Args:
        value: an expression for the text, as PostgreSQL's sessions of Lakefeed write it.
    """
    return _FROM_TEXT.get(duckdb_type, f"{{}}::{duckdb_type}").format(value)


_PADDED = re.compile(r"^(bpchar|character(\(\d+\))?)$")


def text_of_cast(value: str, pg_type: str) -> str:
    """The DuckDB SQL for what a cast to text makes of a value whose output is this text.

    For types that the lake stores as text. They are the same but for padded strings, whose blanks a
    cast removes, and for addresses, to which it adds the netmask.
    """
    if _PADDED.match(pg_type):
        return f"rtrim({value}, ' ')"
    if pg_type == "inet":
        whole = f"if(contains({value}, ':'), '/128', '/32')"
        return f"if(contains({value}, '/'), {value}, {value} || {whole})"
    return value


_WHOLE_NUMBERS = {"smallint": 5, "integer": 10, "bigint": 19}
_DECIMAL = re.compile(r"^decimal\((\d+),(\d+)\)$")
_WIDENINGS = {("float", "double"), ("date", "timestamp")}


def widens(old: str, new: str) -> bool:
    """Whether each value of the lake type `old` can be cast to `new` without changing it.

    In that case DuckDB's cast gives the same values as PostgreSQL's `alter column … type`.
    """
    before, after = _digits(old), _digits(new)
    if before and after:
        return after[0] >= before[0] and after[1] >= before[1]
    return (old, new) in _WIDENINGS or (old in _WHOLE_NUMBERS and new == "varchar")


def writes_the_same(old: str, new: str) -> bool:
    """Whether each value has the same text in PostgreSQL's types `old` and `new`.

    For types that have the same lake type, because it is text or has no precision.
    """
    before, after = _TEXT.match(old), _TEXT.match(new)
    if after and old in _WHOLE_NUMBERS:
        return True
    if before and after:
        return after[1] is None or (before[1] is not None and int(after[1]) >= int(before[1]))
    before, after = _CLOCK.match(old), _CLOCK.match(new)
    if before and after and before[1] + before[3] == after[1] + after[3]:
        return int(after[2] or _MICROSECONDS) >= int(before[2] or _MICROSECONDS)
    return old == new or (old in _WHOLE_NUMBERS and new == "numeric")


def _digits(kind: str) -> tuple[int, int] | None:
    """The maximum number of digits before and after the decimal point."""
    decimal = _DECIMAL.match(kind)
    if decimal:
        return int(decimal[1]) - int(decimal[2]), int(decimal[2])
    return (_WHOLE_NUMBERS[kind], 0) if kind in _WHOLE_NUMBERS else None


def read_expression(column: str, pg_type: str) -> str:
    """The SQL that reads a quoted column exactly, and fails with its name if a value can't be.

    DuckDB's scanner silently reads NaN in a `numeric(p,s)` as 0 (duckdb/duckdb#23971; as null since
    duckdb/duckdb-postgres#562) and wraps timestamps beyond its range (until
    duckdb/duckdb-postgres#530). So the server raises an error for them. The check of timestamps can
    go once DuckDB is pinned to a version with #530.
    """
    kind = lake_type(pg_type)
    if kind.as_text:
        return f"{column}::text"
    if kind.duckdb.startswith("decimal"):
        return _guarded(column, f"{column} = 'NaN'", f"NaN in a {pg_type}", pg_type)
    if kind.duckdb in ("timestamp", "timestamptz"):
        beyond = f"{column} >= '{_LAST_TIMESTAMP}' and {column} < 'infinity'"
        return _guarded(column, beyond, "a timestamp beyond the year 294246", pg_type)
    return column


def _guarded(column: str, unreadable: str, reason: str, pg_type: str) -> str:
    name = column.strip('"').replace("'", "''").replace("%", "")
    # The empty prefix of the row's value keeps the planner from evaluating the failing cast at
    # planning time.
    failure = f"('column {name} holds {reason}' || left({column}::text, 0))::{pg_type}"
    # A column of a domain loses its precision in a `case`; without the cast, DuckDB would read a
    # numeric as a double.
    return f"case when {unreadable} then {failure} else {column}::{pg_type} end"


def cursor_kind(pg_type: str) -> CursorKind | None:
    """The kind of cursor that a column of this type can be; None if it can't be one."""
    if _TIMESTAMPTZ.match(pg_type):
        return "timestamptz"
    if _TIMESTAMP.match(pg_type):
        return "timestamp"
    if pg_type == "date":
        return "date"
    return "number" if pg_type in ("smallint", "integer", "bigint") else None
