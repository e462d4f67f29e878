"""How single values stand in `sources.yaml`: durations, shares, starts, and their types."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, NoReturn
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, NonNegativeInt

IDENTIFIER = r"^[A-Za-z][A-Za-z0-9_]*$"

_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*\}")
_BARE_REFERENCE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_DURATION = re.compile(r"^(\d+)(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DATABASES_OF_DUCKDB = ("main", "temp", "system")
_PERCENT = re.compile(r"^(\d+(?:\.\d+)?)\s*%$")


def parse_duration(value: Any) -> Any:
    """`90s`, `30m`, `2h` or `3d` as a timedelta; anything else is a ValueError."""
    if isinstance(value, dt.timedelta):
        return value
    match = _DURATION.match(value) if isinstance(value, str) else None
    try:
        return dt.timedelta(seconds=int(match[1]) * _SECONDS[match[2]]) if match else _no_duration()
    except OverflowError:
        return _no_duration()


def _no_duration() -> NoReturn:
    raise ValueError("a duration such as 90s, 30m, 2h or 3d")


def parse_lookback(value: Any) -> Any:
    """A duration, or a plain number for a numeric cursor."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a duration such as 30m, or a number of 0 or more")
        return value
    try:
        return parse_duration(value)
    except ValueError:
        message = "a duration such as 90s, 30m, 2h or 3d, or a plain number for a numeric cursor"
        raise ValueError(message) from None


def parse_retention(value: Any) -> Any:
    """A duration of more than nothing."""
    if not (duration := parse_duration(value)):
        raise ValueError("a duration of more than 0, such as 90d")
    return duration


def parse_share(value: Any) -> Any:
    """`20%` as 0.2."""
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    match = _PERCENT.match(value) if isinstance(value, str) else None
    if not match or float(match[1]) > 100:
        raise ValueError("a share from 0% to 100%, such as 20%")
    return float(match[1]) / 100


def parse_shrink(value: Any) -> Any:
    """A bare share is short for `{share: …, rows: 0}`."""
    if isinstance(value, Mapping):
        return value
    try:
        return {"share": parse_share(value), "rows": 0}
    except ValueError as error:
        raise ValueError(f"{error}, or a mapping such as {{share: 20%, rows: 100}}") from None


def folder_of_file_url(url: str) -> str:
    """`file:///data/my%20raw` as the folder that it names; all else as it is."""
    parts = urlsplit(url)
    if parts.scheme != "file" or "://" not in url:
        return url
    if parts.netloc not in ("", "localhost"):
        raise ValueError("a folder of this machine, such as file:///data/raw")
    return unquote(url.split("://", 1)[1].removeprefix(parts.netloc))


def path_for_dbt(path: str) -> str:
    """A path from which dbt-duckdb derives the same database name as DuckDB, and can write it.

    It takes the path for a URL, and puts the name between quotes as it is.
    """
    folder, _, name = path.rpartition("/")
    database = name.lstrip(".").partition(".")[0]
    if (
        not database
        or database.lower() in _DATABASES_OF_DUCKDB
        or re.search(r"[?#]", folder)
        or re.search(r"""['"#;]""", name)
    ):
        raise ValueError(
            "a file such as data/warehouse.duckdb, without ' \" # ; in its name or ? # in its "
            "folder, and not called main, temp or system"
        )
    return path


def parse_version(value: Any) -> Any:
    """Neither `true` nor `1.0`, which are equal to 1 in Python."""
    if type(value) is not int or value != 1:
        raise ValueError("1")
    return value


def parse_start(value: Any) -> Any:
    """A date, a timestamp or a whole number, as YAML gives it or in quotes."""
    if isinstance(value, str):
        for parse in (dt.date.fromisoformat, dt.datetime.fromisoformat):
            with suppress(ValueError):
                return parse(value)
    elif isinstance(value, (dt.date, int)) and not isinstance(value, bool):
        return value
    raise ValueError("a date, a timestamp or a whole number, such as 2026-01-31 or 1000")


def parse_connection(value: Any) -> Any:
    """A PostgreSQL URL, whose references to the environment are whole."""
    rest = _REFERENCE.sub("", value) if isinstance(value, str) else ""
    if "${" in rest:
        raise ValueError("a reference of letters, digits and underscores, such as ${DATABASE_URL}")
    if bare := _BARE_REFERENCE.search(rest):
        raise ValueError(f"the variable in braces, ${{{bare[1]}}} (a `$` that is none is %24)")
    scheme = _SCHEME.match(rest)
    if scheme and not scheme[1].startswith("postgres"):
        raise ValueError("a PostgreSQL URL, such as postgresql://user@host:5432/database")
    return value


def parse_cursor(value: Any) -> Any:
    """A bare column name is short for `{column: name}`."""
    return {"column": value} if isinstance(value, str) else value


def parse_condition(value: Any) -> Any:
    """A bare condition is short for `{condition: …}`."""
    return {"condition": value} if isinstance(value, str) else value


def parse_reference(value: Any) -> Any:
    """Source, table and column, with dots between them; the column may hold dots of its own."""
    if not isinstance(value, str) or not all(value.split(".", 2)) or value.count(".") < 2:
        raise ValueError("source, table and column, such as shop.customers.customer_id")
    return value


def parse_bound(value: Any) -> Any:
    """A number, exactly as it is written, or a date or a timestamp, in quotes or not."""
    if isinstance(value, float):
        return Decimal(str(value))
    try:
        return value if isinstance(value, Decimal) else parse_start(value)
    except ValueError:
        raise ValueError("a number, a date or a timestamp, such as 0 or 2026-01-31") from None


def parse_accepted(value: Any) -> Any:
    """A text, a number or a date. `yes` without quotes isn't what it looks like."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, (str, int, dt.date, Decimal)) and not isinstance(value, bool):
        return value
    raise ValueError("a text or a number (put a word that YAML reads otherwise in quotes)")


Text = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Text, ...], Field(min_length=1)]

# What stands in the file before it is parsed; editors get their JSON Schema from it.
_DurationText = Annotated[str, Field(pattern=r"^\d+(s|m|h|d)$")]
_RetentionText = Annotated[str, Field(pattern=r"^0*[1-9]\d*(s|m|h|d)$")]
ShareText = Annotated[str, Field(pattern=r"^\d+(\.\d+)?\s*%$")]

Duration = Annotated[
    dt.timedelta, BeforeValidator(parse_duration, json_schema_input_type=_DurationText)
]
Lookback = Annotated[
    dt.timedelta | int,
    BeforeValidator(parse_lookback, json_schema_input_type=_DurationText | NonNegativeInt),
]
Retention = Annotated[
    dt.timedelta, BeforeValidator(parse_retention, json_schema_input_type=_RetentionText)
]
Share = Annotated[float, BeforeValidator(parse_share, json_schema_input_type=ShareText)]
Start = Annotated[
    dt.datetime | dt.date | int,
    BeforeValidator(parse_start, json_schema_input_type=Text | int),
]
AcceptedValue = Annotated[
    str | int | Decimal | dt.datetime | dt.date,
    BeforeValidator(parse_accepted, json_schema_input_type=str | float),
]
Bound = Annotated[
    int | Decimal | dt.datetime | dt.date,
    BeforeValidator(parse_bound, json_schema_input_type=float | Text),
]
