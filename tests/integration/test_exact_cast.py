"""A declared type is exact, or the source refuses the value and names the row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import psycopg2
import pytest

from lakefeed.source.exact_cast import can_cast, exact_cast
from lakefeed.sql import literal
from tests.conftest import Database, new_database

TIMESTAMP, TIMESTAMPTZ = "timestamp without time zone", "timestamp with time zone"

# The source's type, the declared one, and values with what becomes of them.
EXACT = [
    ("numeric", "numeric(18,4)", ["1", "1.5", "-99999999999999.9999", "0.00010000"]),
    ("text", "numeric(6,2)", [" 12.30 ", "-.5", "1e3", "9999.99"]),
    ("double precision", "numeric(6,2)", ["0.1", "1e2"]),
    ("text", "bigint", ["9223372036854775807", "-9223372036854775808", "007", "1.0"]),
    ("numeric", "integer", ["2147483647", "7.000"]),
    ("numeric(10,2)", "smallint", ["-32768"]),
    ("text", "double precision", ["0.1", "NaN", "-Infinity", "1e300", "0"]),
    ("real", "double precision", ["0.1"]),
    ("numeric", "double precision", ["0.1", "Infinity"]),
    ("text", "boolean", ["yes", "F", " on "]),
    ("text", "uuid", ["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"]),
    ("text", "date", ["2024-02-29", "2026-01-31T00:00:00Z", "2000-02-29"]),
    ("text", TIMESTAMP, ["2026-01-31 10:00:00.123456", "2026-01-31T10:00Z", "2026-01-31"]),
    ("text", TIMESTAMPTZ, ["2026-01-31T10:00:00.1234560+05:30", "2026-01-31 10:00:00-03"]),
    ("date", TIMESTAMP, ["2026-01-31", "infinity"]),
    (TIMESTAMPTZ, "date", ["2026-01-31 00:00:00+00", "-infinity"]),
    (TIMESTAMP, TIMESTAMPTZ, ["2026-01-31 10:00:00"]),
    (TIMESTAMPTZ, TIMESTAMP, ["2026-01-31 10:00:00+02"]),
    ("jsonb", "text", ['{"a": 1}']),
]
INEXACT = [
    ("numeric", "numeric(18,4)", ["1.00001", "100000000000000", "NaN", "Infinity"]),
    ("text", "numeric(6,2)", ["", "1,5", "abc", "9999.995", "NaN", "1e9999"]),
    ("double precision", "numeric(6,2)", ["0.123", "NaN", "1e300"]),
    ("text", "bigint", ["9223372036854775808", "1.5", "0x1F", "1 2"]),
    ("numeric", "integer", ["2147483648", "7.1", "NaN"]),
    ("text", "double precision", ["1e400", "0.12345678901234567890", "1e-320", "ten"]),
    ("numeric", "double precision", ["12345678901234567890"]),
    ("text", "boolean", ["maybe", ""]),
    ("text", "uuid", ["A0EEBC99"]),
    ("text", "date", ["2026-02-29", "1900-02-29", "2026-02-30", "2026-04-31", "0000-01-01"]),
    ("text", "date", ["31.1.2026", "2026-01-31 10:00"]),
    ("text", TIMESTAMP, ["2026-01-31 10:00:00.1234567", "2026-01-31T10:00:00+02"]),
    ("text", TIMESTAMP, ["2026-01-31 24:00"]),
    ("text", TIMESTAMPTZ, ["now", "2026-01-31 10:00:00 CET", "2026-13-01T10:00:00Z"]),
    ("date", TIMESTAMP, ["5874897-12-31"]),
    (TIMESTAMPTZ, "date", ["2026-01-31 00:00:01+00"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def casting(server_url: str) -> Iterator[Database]:
    yield new_database(server_url)


def read(database: Database, live: str, declared: str, value: str) -> tuple[object, object]:
    """The value as it is read, and PostgreSQL's own cast of it, both as text."""
    assert can_cast(live, declared)
    expression = exact_cast('"it"', live, declared, "' in the row with id = ' || id")
    # The offset keeps the planner from casting while planning.
    rows = f"(select {literal(value)}::{live} as it, 7 as id offset 0) as rows"
    own = "it::numeric" if live == "text" and declared == "bigint" else "it"
    with closing(database.connect()) as session, session.cursor() as cursor:
        cursor.execute("set timezone = 'UTC'")
        cursor.execute(f"select ({expression})::text, ({own}::{declared})::text from {rows}")
        (found,) = cursor.fetchall()
        return found[0], found[1]


@pytest.mark.parametrize(("live", "declared", "values"), EXACT)
def test_a_value_that_the_type_holds_is_that_of_postgresql(
    casting: Database, live: str, declared: str, values: list[str]
) -> None:
    for value in values:
        found, expected = read(casting, live, declared, value)
        assert found == expected, value


@pytest.mark.parametrize(("live", "declared", "values"), INEXACT)
def test_a_value_that_would_be_changed_is_refused_with_its_row(
    casting: Database, live: str, declared: str, values: list[str]
) -> None:
    for value in values:
        with pytest.raises(psycopg2.Error, match=r"isn't exact as .* in the row with id = 7"):
            read(casting, live, declared, value)


@pytest.mark.parametrize(
    ("live", "declared"),
    [("boolean", "bigint"), ("integer", "date"), ("date", "bigint"), ("jsonb", "boolean")],
)
def test_types_that_mean_something_else_are_not_cast(live: str, declared: str) -> None:
    assert not can_cast(live, declared)
