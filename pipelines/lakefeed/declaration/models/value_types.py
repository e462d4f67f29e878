"""Types of single values in `sources.yaml` and their parsers: durations, shares, bounds, URLs.

A parser's ValueError is what was expected, as the message reads "found …, expected …".
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, NoReturn
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field, NonNegativeInt

from lakefeed.declaration.environment.references import (
    is_optional_reference,
    is_reference,
)

NEVER = "never"
IDENTIFIER = r"^[A-Za-z][A-Za-z0-9_]*$"

_DURATION = re.compile(r"^(\d+)(s|m|h|d)$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"^(\d+(?:\.\d+)?) ?(kB|MB|GB|TB)$")
_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_DATABASES_OF_DUCKDB = ("main", "temp", "system")
_SLOT = re.compile(r"^[a-z0-9_]{1,63}$")
_PERCENT = re.compile(r"^(\d+(?:\.\d+)?)\s*%$")


def parse_duration(value: Any) -> Any:
    """Parses `90s`, `30m`, `2h` or `3d`."""
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
    """Parses a duration, or a number for a numeric cursor."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError("a duration such as 30m, or a number of 0 or more")
        return value
    try:
        return parse_duration(value)
    except ValueError:
        message = "a duration such as 90s, 30m, 2h or 3d, or a number for a numeric cursor"
        raise ValueError(message) from None


def parse_retention(value: Any) -> Any:
    """Parses a duration longer than 0."""
    if not (duration := parse_duration(value)):
        raise ValueError("a duration longer than 0, such as 90d")
    return duration


def parse_size_limit(value: Any) -> Any:
    """Checks a size such as `10 GB`, or the word `never`."""
    match = _SIZE.match(value) if isinstance(value, str) else None
    if value != NEVER and (match is None or not float(match[1])):
        raise ValueError("a size such as 500 MB, 10 GB or 1 TB, or never")
    return value


def parse_slot(value: Any) -> Any:
    """Checks the name of a replication slot.

    Source: ReplicationSlotValidateName in PostgreSQL's src/backend/replication/slot.c
    """
    if not isinstance(value, str) or not _SLOT.match(value):
        raise ValueError("a name of at most 63 lower-case letters, digits and underscores")
    return value


def bytes_of(limit: str) -> int | None:
    """The bytes of a size that `parse_size_limit` accepts; None for `never`."""
    match = _SIZE.match(limit)
    return int(Decimal(match[1]) * _BYTES[match[2]]) if match else None


def parse_share(value: Any) -> Any:
    """Parses `20%` as 0.2."""
    if isinstance(value, float) and 0 <= value <= 1:
        return value
    match = _PERCENT.match(value) if isinstance(value, str) else None
    if not match or float(match[1]) > 100:
        raise ValueError("a share from 0% to 100%, such as 20%")
    return float(match[1]) / 100


def parse_shrink(value: Any) -> Any:
    """Parses a share alone as `{share: …, rows: 0}`."""
    if isinstance(value, Mapping):
        return value
    try:
        return {"share": parse_share(value), "rows": 0}
    except ValueError as error:
        raise ValueError(f"{error}, or a mapping such as {{share: 20%, rows: 100}}") from None


def folder_of_file_url(url: str) -> str:
    """The path of a `file:` URL, with percent-encoding decoded; anything else unchanged."""
    parts = urlsplit(url)
    if parts.scheme != "file" or "://" not in url:
        return url
    if parts.netloc not in ("", "localhost"):
        raise ValueError("a folder on this machine, such as file:///data/raw")
    return unquote(url.split("://", 1)[1].removeprefix(parts.netloc))


def path_for_dbt(path: str) -> str:
    """Refuses paths for which dbt-duckdb derives another database name than DuckDB.

    dbt-duckdb parses the path as a URL, and quotes the database name without escaping it.
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
            "a file such as data/warehouse.duckdb, not named main, temp or system, without "
            "' \" # ; in its name and without ? # in its folder"
        )
    return path


def parse_version(value: Any) -> Any:
    """Accepts the integer 1, but not `true` or `1.0`, which equal 1 in Python."""
    if type(value) is not int or value != 1:
        raise ValueError("1")
    return value


def parse_start(value: Any) -> Any:
    """Parses a date or a timestamp, quoted or not, or an integer."""
    if isinstance(value, str):
        for parse in (dt.date.fromisoformat, dt.datetime.fromisoformat):
            with suppress(ValueError):
                return parse(value)
    elif isinstance(value, (dt.date, int)) and not isinstance(value, bool):
        return value
    raise ValueError("a date, a timestamp or an integer, such as 2026-01-31 or 1000")


def parse_secret(value: Any) -> Any:
    """Checks that a secret is a reference to an environment variable, and nothing else."""
    if not isinstance(value, str) or not is_reference(value):
        raise ValueError('a variable such as "${HASH_KEY}", whose value is read from .env')
    return value


def parse_address(value: Any) -> Any:
    """Checks that an address is a reference, since every part of such a URL may be a secret."""
    if not isinstance(value, str) or not (is_reference(value) or is_optional_reference(value)):
        raise ValueError('a variable such as "${SLACK_URL}", whose value is read from .env')
    return value


def parse_cursor_column(value: Any) -> Any:
    """Parses a column name, or a list of them as a tuple; a list of one is that column."""
    if not isinstance(value, (list, tuple)):
        if isinstance(value, str) and value:
            return value
        hint = " (put it in quotes)" if isinstance(value, (bool, int, float, dt.date)) else ""
        raise ValueError(f"the name of a column, or a list of columns{hint}")
    if not value or not all(isinstance(name, str) and name for name in value):
        raise ValueError("names of columns, such as [updated_at, created_at]")
    if len(set(value)) < len(value):
        raise ValueError("each column once")
    if "xmin" in value and len(value) > 1:
        raise ValueError("columns without `xmin`, which is a cursor by itself (`cursor: xmin`)")
    return value[0] if len(value) == 1 else tuple(value)


def parse_condition(value: Any) -> Any:
    """Parses a condition alone as `{condition: …}`."""
    return {"condition": value} if isinstance(value, str) else value


def parse_reference(value: Any) -> Any:
    """Checks a reference of the form `source.table.column`; the column may contain dots."""
    if not isinstance(value, str) or not all(value.split(".", 2)) or value.count(".") < 2:
        raise ValueError("source, table and column, such as shop.customers.customer_id")
    return value


def parse_bound(value: Any) -> Any:
    """Parses a number without rounding it, or a date or a timestamp, quoted or not."""
    if isinstance(value, float):
        return Decimal(str(value))
    try:
        return value if isinstance(value, Decimal) else parse_start(value)
    except ValueError:
        raise ValueError("a number, a date or a timestamp, such as 0 or 2026-01-31") from None


def parse_accepted(value: Any) -> Any:
    """Parses a string, a number or a date; refuses booleans, such as an unquoted `yes`."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, (str, int, dt.date, Decimal)) and not isinstance(value, bool):
        return value
    raise ValueError("a string or a number (quote words such as yes, no and null)")


Text = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Text, ...], Field(min_length=1)]

# The types before parsing, for the JSON Schema.
_DurationText = Annotated[str, Field(pattern=r"^\d+(s|m|h|d)$")]
_RetentionText = Annotated[str, Field(pattern=r"^0*[1-9]\d*(s|m|h|d)$")]
_SizeText = Annotated[str, Field(pattern=r"^(\d+(\.\d+)? ?(kB|MB|GB|TB)|never)$")]
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
SizeLimit = Annotated[str, BeforeValidator(parse_size_limit, json_schema_input_type=_SizeText)]
Slot = Annotated[
    str,
    BeforeValidator(
        parse_slot, json_schema_input_type=Annotated[str, Field(pattern=_SLOT.pattern)]
    ),
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
