"""What each PostgreSQL type becomes in the lake, and how it is read without losing anything.

A type is either read as itself, when DuckDB has the same values, or as PostgreSQL's own text. The
list is short on purpose: what isn't on it is text, which is always exact (design, section 5).
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

# DuckDB counts microseconds from 1970 in 64 bits; PostgreSQL's range ends 29 years later.
_LAST_TIMESTAMP = "294247-01-01"


@dataclass(frozen=True)
class LakeType:
    """How a column stands in the lake: its DuckDB type, and whether it is the source's text."""

    duckdb: str
    as_text: bool


def lake_type(pg_type: str) -> LakeType:
    """The lake's type for a type as PostgreSQL's `format_type` writes it (domains resolved)."""
    if pg_type in _SAME:
        return LakeType(_SAME[pg_type], False)
    for pattern, duckdb in _SAME_WITH_MODIFIER:
        if pattern.match(pg_type):
            return LakeType(duckdb, False)
    numeric = _NUMERIC.match(pg_type)
    if numeric and 0 <= int(numeric[2]) <= int(numeric[1]) <= _WIDEST_DECIMAL:
        return LakeType(f"decimal({numeric[1]},{numeric[2]})", False)
    return LakeType("varchar", True)


_WHOLE_NUMBERS = {"smallint": 5, "integer": 10, "bigint": 19}
_DECIMAL = re.compile(r"^decimal\((\d+),(\d+)\)$")
_WIDENINGS = {("float", "double"), ("date", "timestamp")}


def widens(old: str, new: str) -> bool:
    """Whether each value of one of the lake's types is the same value in the other.

    PostgreSQL's own conversion, when a column is retyped, then gives what a cast gives in DuckDB.
    """
    before, after = _digits(old), _digits(new)
    if before and after:
        return after[0] >= before[0] and after[1] >= before[1]
    return (old, new) in _WIDENINGS or (old in _WHOLE_NUMBERS and new == "varchar")


def writes_the_same(old: str, new: str) -> bool:
    """Whether PostgreSQL writes each value of one of its types in the same way in the other.

    For types that the lake keeps in one, as text or cut to the same precision.
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
    """How many digits a number may have before and after its point."""
    decimal = _DECIMAL.match(kind)
    if decimal:
        return int(decimal[1]) - int(decimal[2]), int(decimal[2])
    return (_WHOLE_NUMBERS[kind], 0) if kind in _WHOLE_NUMBERS else None


def read_expression(column: str, pg_type: str) -> str:
    """The SQL that reads one quoted column exactly, or fails naming it where it can't.

    DuckDB's scanner turns NaN in a numeric into 0 and wraps timestamps beyond its range, both
    silently (tests/integration/test_types.py), so those values are made to fail on the server.
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
    # The empty piece of the row's own text keeps the planner from folding the failure early.
    failure = f"('column {name} holds {reason}' || left({column}::text, 0))::{pg_type}"
    # The cast brings back the precision that a domain's column loses in a case, without which
    # DuckDB would take a numeric for a double.
    return f"case when {unreadable} then {failure} else {column}::{pg_type} end"


def cursor_kind(pg_type: str) -> CursorKind | None:
    """What kind of cursor a column of this type makes; None where it can't be one."""
    if _TIMESTAMPTZ.match(pg_type):
        return "timestamptz"
    if _TIMESTAMP.match(pg_type):
        return "timestamp"
    if pg_type == "date":
        return "date"
    return "number" if pg_type in ("smallint", "integer", "bigint") else None
