"""Converts a column to its declared type in the source's query, or fails with the row's key.

PostgreSQL's casts round numbers, cut fractions of seconds and drop time zones. So each value is
looked at before it is cast, in a `case`, whose branches are evaluated only where they are reached.
"""

from __future__ import annotations

import re

from lakefeed.sql import literal

_TEXT = re.compile(r"^(text|character varying|character|citext|name)(\(\d+\))?$")
_NUMBER = re.compile(r"^(smallint|integer|bigint|numeric(\(.+\))?)$")
_FLOATS = ("real", "double precision")
_TIME = re.compile(r"^(date|timestamp(\(\d\))? with(out)? time zone)$")
_NUMERIC = re.compile(r"^numeric\((\d+),(\d+)\)$")
_INTEGERS = {"smallint": 15, "integer": 31, "bigint": 63}
_TIMESTAMP, _TIMESTAMPTZ = "timestamp without time zone", "timestamp with time zone"
_TIMES = ("date", _TIMESTAMP, _TIMESTAMPTZ)
_NUMBERS = (*_INTEGERS, "double precision")
_WORDS = ("boolean", "uuid")

# Regular expressions that mean the same in PostgreSQL and in DuckDB.
# PostgreSQL parses numbers with thousands of digits; a number of a row never needs as many.
NUMBER_TEXT = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?$"
UUID_TEXT = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
BOOLEANS = "'t', 'f', 'true', 'false', 'y', 'n', 'yes', 'no', 'on', 'off', '1', '0'"
# ISO 8601, which means the same whatever the server's settings. 29 February and the year 0 are
# looked at apart.
_DATE_TEXT = (
    r"\d{4}-(02-(0[1-9]|[12]\d)|(0[469]|11)-(0[1-9]|[12]\d|30)"
    r"|(0[13578]|1[02])-(0[1-9]|[12]\d|3[01]))"
)
_CLOCK_TEXT = r"[T ]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6}0*)?)?"
_MIDNIGHT_TEXT = r"[T ]00:00(:00(\.0+)?)?"
_UTC_TEXT = r"(Z|[-+]00(:?00)?)?"
_ZONE_TEXT = r"(Z|[-+](0\d|1[0-4])(:?[0-5]\d)?)?"
TIME_TEXTS = {
    "date": f"^{_DATE_TEXT}({_MIDNIGHT_TEXT}{_UTC_TEXT})?$",
    _TIMESTAMP: f"^{_DATE_TEXT}({_CLOCK_TEXT}{_UTC_TEXT})?$",
    _TIMESTAMPTZ: f"^{_DATE_TEXT}({_CLOCK_TEXT}{_ZONE_TEXT})?$",
}
_LARGEST, _SMALLEST = "1.7976931348623157e308", "2.2250738585072014e-308"
# DuckDB's timestamps end there (inspection/types.py).
_LAST_TIMESTAMP = "294247-01-01"


def can_cast(live: str, declared: str) -> bool:
    """Whether values of PostgreSQL's type `live` may be exact in `declared`."""
    if declared in ("text", live):
        return True
    if declared == "json":
        return live == "jsonb" or _TEXT.match(live) is not None
    is_number = declared in _NUMBERS or _NUMERIC.match(declared) is not None
    if _TEXT.match(live):
        return is_number or declared in (*_TIMES, *_WORDS)
    if _NUMBER.match(live) or live in _FLOATS:
        return is_number
    return _TIME.match(live) is not None and declared in _TIMES


def exact_cast(column: str, live: str, declared: str, row: str) -> str:
    """The SQL that reads a quoted column as its declared type. Null stays null.

    Args:
        live: the column's type in the source, which `can_cast` to the declared one.
        row: an SQL expression that says which row it is, to end a sentence: `in the row with …`.
    """
    if declared in ("text", "json"):
        # Whether a text is JSON shows in staging, where it becomes DuckDB's.
        return f"{column}::text"
    if _TIME.match(live):
        inexact, value = _of_time(column, live, declared)
    elif declared in _TIMES:
        inexact, value = _of_time_text(f"btrim({column}::text)", declared)
    elif declared in _WORDS:
        inexact, value = _of_word(f"btrim({column}::text)", declared)
    elif live == "real" and declared == "double precision":
        inexact, value = "false", column
    else:
        is_exact_number = _NUMBER.match(live) is not None
        number = f"{column}::numeric" if is_exact_number else f"btrim({column}::text)"
        inexact, value = _of_number(number, declared, is_text=not is_exact_number)
    name = column.strip('"').replace("%", "")
    reason = literal(f"column {name} holds a value that isn't exact as {declared}")
    # The empty prefix of the value keeps the planner from evaluating the failing cast.
    failure = f"{reason} || left({column}::text, 0) || {row}"
    return (
        f"(case when {column} is null then null when {inexact} "
        f"then (({failure})::bigint)::text::{declared} else ({value})::{declared} end)::{declared}"
    )


def _of_number(number: str, declared: str, *, is_text: bool) -> tuple[str, str]:
    """When a number isn't exact, and its value. PostgreSQL's NaN is larger than any number."""
    if declared == "double precision":
        return _of_double(number, is_text=is_text)
    value = f"({number})::numeric"
    if found := _NUMERIC.match(declared):
        precision, scale = int(found[1]), int(found[2])
        bad = f"abs({value}) >= 1e{precision - scale} or round({value}, {scale}) <> {value}"
    else:
        bound = 2 ** _INTEGERS[declared]
        bad = f"{value} < -{bound} or {value} >= {bound} or trunc({value}) <> {value}"
    if is_text:
        bad = f"{number} !~ {literal(NUMBER_TEXT)} then true when {bad}"
        bad = f"case when {bad} then true else false end"
    return bad, value


def _of_double(number: str, *, is_text: bool) -> tuple[str, str]:
    text = number if is_text else f"({number})::text"
    size, value = f"abs({text}::numeric)", f"{text}::double precision"
    bad = (
        f"case when {text} in ('NaN', 'Infinity', '-Infinity') then false "
        f"when {text} !~ {literal(NUMBER_TEXT)} then true "
        f"when {size} > {_LARGEST} or ({size} < {_SMALLEST} and {size} <> 0) then true "
        f"else {value}::text::numeric <> {text}::numeric end"
    )
    return bad, value


def _of_word(text: str, declared: str) -> tuple[str, str]:
    if declared == "uuid":
        return f"{text} !~ {literal(UUID_TEXT)}", text
    return f"lower({text}) not in ({BOOLEANS})", text


def _of_time_text(text: str, declared: str) -> tuple[str, str]:
    year = f"substr({text}, 1, 4)::int"
    is_leap = f"mod({year}, 4) = 0 and (mod({year}, 100) <> 0 or mod({year}, 400) = 0)"
    bad = (
        f"case when {text} !~ {literal(TIME_TEXTS[declared])} then true "
        f"when substr({text}, 1, 4) = '0000' then true "
        f"when substr({text}, 5, 6) = '-02-30' then true "
        f"when substr({text}, 5, 6) = '-02-29' then not ({is_leap}) else false end"
    )
    return bad, text


def _of_time(column: str, live: str, declared: str) -> tuple[str, str]:
    local = f"({column} at time zone 'UTC')" if live.endswith(" with time zone") else column
    beyond = f"{column} >= '{_LAST_TIMESTAMP}' and {column} < 'infinity'"
    if declared == "date":
        return f"{local}::date <> {local}", local
    if declared == _TIMESTAMP:
        return beyond, local
    zoned = column if local != column else f"{column}::timestamp at time zone 'UTC'"
    return beyond, zoned
