"""The types of PostgreSQL that `type` and `flatten` can declare, by the names that people write."""

from __future__ import annotations

import re
from typing import Any

# As PostgreSQL's `format_type` writes them, by each name that PostgreSQL takes.
_NAMES = {
    **dict.fromkeys(("smallint", "int2"), "smallint"),
    **dict.fromkeys(("integer", "int", "int4"), "integer"),
    **dict.fromkeys(("bigint", "int8"), "bigint"),
    **dict.fromkeys(("double precision", "float8"), "double precision"),
    **dict.fromkeys(("boolean", "bool"), "boolean"),
    **dict.fromkeys(("text", "varchar", "character varying"), "text"),
    **{name: name for name in ("date", "uuid", "interval")},
    **dict.fromkeys(("json", "jsonb"), "json"),
    **dict.fromkeys(("timestamp", "timestamp without time zone"), "timestamp without time zone"),
    **dict.fromkeys(("timestamptz", "timestamp with time zone"), "timestamp with time zone"),
}
_NUMERIC = re.compile(r"(?:numeric|decimal)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_WIDEST = 38
_NOT_IN_LISTS = ("interval", "json")
_KNOWN = (
    "smallint, integer, bigint, numeric(p,s), double precision, boolean, text, uuid, date, "
    "timestamp, timestamptz, interval"
)


def parse_type(value: Any) -> Any:
    """Parses the name of a type as PostgreSQL writes it: `timestamp with time zone`."""
    written = _written(value)
    if not written.endswith("[]"):
        return _parsed(written, f"{_KNOWN}, json, or an array such as text[]")
    element = parse_type(written.removesuffix("[]").rstrip())
    if element in _NOT_IN_LISTS or element.endswith("[]"):
        raise ValueError("a one-dimensional array such as text[]")
    return f"{element}[]"


def parse_value_type(value: Any) -> Any:
    """Parses the type of a value in a JSON document, which is no array."""
    written = _written(value)
    if written.endswith("[]"):
        raise ValueError("a type without `[]`; an array in JSON is read as `jsonb` or `text`")
    return _parsed(written, f"{_KNOWN} or json")


def _written(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError('a type of PostgreSQL, such as "numeric(18,4)"')
    return " ".join(value.lower().split())


def _parsed(written: str, expected: str) -> str:
    numeric = _NUMERIC.fullmatch(written)
    if numeric:
        return _numeric(int(numeric[1]), int(numeric[2] or 0))
    if written.startswith(("numeric(", "decimal(")) and ")" not in written:
        # Within braces, YAML takes the comma for the end of the value.
        raise ValueError('quotes around it: "numeric(18,4)"')
    if written in ("numeric", "decimal"):
        raise ValueError('one with its digits, such as "numeric(18,4)"')
    if written not in _NAMES:
        raise ValueError(expected)
    return _NAMES[written]


def _numeric(precision: int, scale: int) -> str:
    if not 0 < precision <= _WIDEST or scale > precision:
        raise ValueError(f"at most {_WIDEST} digits, and as many or fewer after the point")
    return f"numeric({precision},{scale})"
