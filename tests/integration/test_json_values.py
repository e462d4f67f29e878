"""Values in JSON, read by DuckDB from PostgreSQL's text: what PostgreSQL's `#>>` and casts give."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import pytest
from duckdb import DuckDBPyConnection

from lakefeed.declaration.models.json_paths import steps_of
from lakefeed.declaration.models.pg_types import parse_value_type
from lakefeed.source.json_value import AT, JsonForm, json_form, parts_in
from lakefeed.source.staged_form import VALUE
from tests.conftest import Database

DOCUMENT = r"""
 {"plain": "text", "empty": "", "blank": "  ", "none": null, "yes": true, "no": false,
  "whole": 42, "minus": -7, "big": 12345678901234567890.123, "huge": 123456789012345678901234567890,
  "precise": 0.1234567890123456789, "trailing": 1.10, "up": 1.5e3, "down": 25E-4, "far": 1e30,
  "zero": 0, "signless": -0, "small": -0.0,
  "escaped": "tab\t \"quoted\" back\\slash \/ \u00e9 \ud83d\ude00 {[7]}",
  "unicode": "Rīga 😀", "ключ": "Unicode", "a.b": {"c d": "dotted"}, "say \"hi\"": "quoted",
  "sla/sh~tilde": "pointed", "it's": "apostrophe", "back\\slash": 1, "": "nameless", "\u00fc": "u",
  "in": {"the": {"very": {"deep": [[{"x": 1.0}], [2, [3.50, {"y": "z"}]]]}}},
  "array": [1, "two", null, {"three": 3.00}, [], {}], "object": { "b" : 1.10, "a" : [ 1,2 ] },
  "0": "digit", "text_number": "12.50", "number_in_text": "1e2", "v": {"b": 1, "e": 2, "v": "v"}}
"""
PATHS = (
    *("plain", "empty", "blank", "none", "yes", "no", "whole", "minus", "big", "huge", "precise"),
    *("trailing", "up", "down", "far", "zero", "signless", "small", "escaped", "unicode", "ключ"),
    *('"a.b"', '"a.b"."c d"', '"say ""hi"""', "sla/sh~tilde", "it's", "back\\slash", '""', "ü"),
    *("in", "in.the.very.deep", "in.the.very.deep[0]", "in.the.very.deep[0][0].x"),
    *("in.the.very.deep[1][1][0]", "in.the.very.deep[1][1][1].y", "in.the.missing", "plain.x"),
    *("array", "array[0]", "array[1]", "array[2]", "array[3]", "array[3].three", "array[4]"),
    *("array[5]", "array[6]", "array.three", "object", "object.b", "object.a[1]", "0", "[0]"),
    *("text_number", "v", "v.v", "v.b", "missing", "Plain"),
)
TWICE = '{"a": 1, "b": {"c": 1, "c": 2.50}, "a": {"x": "last"}, "b": {"c": 3, "d": 4, "c": 5.10}}'


@pytest.fixture(scope="module")
def staging() -> Iterator[DuckDBPyConnection]:
    with duckdb.connect() as session:
        session.execute("create table rows (document varchar)")
        yield session


def in_full(text: str, form: JsonForm) -> str:
    """An expression with its parts in it, as the macro `in_full` makes it."""
    for name, part in parts_in(form).items():
        text = text.replace(name, part)
    return text.replace(AT, form.at).replace(VALUE, "document")


def read(
    staging: DuckDBPyConnection,
    document: str | None,
    path: str,
    kind: str,
    *,
    may_repeat: bool = True,
) -> Any:
    """The text of the value in staging, or `inexact` where a build would stop."""
    form = json_form(steps_of(path), parse_value_type(kind), may_repeat=may_repeat)
    value, inexact = (in_full(text, form) for text in (form.value, form.inexact))
    staging.execute("delete from rows")
    staging.execute("insert into rows values (?)", [document])
    if staging.execute(f"select {inexact} from rows").fetchall() == [(True,)]:
        return "inexact"
    ((found,),) = staging.execute(
        f"select cast({value} as {form.type})::varchar from rows"
    ).fetchall()
    return found


@pytest.fixture
def source(database: Database) -> Iterator[Any]:
    with database.connect() as session, session.cursor() as cursor:
        cursor.execute("set timezone = 'UTC'")
        yield cursor


def of_postgres(source: Any, document: str, path: str, kind: str, cast: str = "text") -> Any:
    source.execute(f"select (%s::{kind} #>> %s)::{cast}::text", (document, list(steps_of(path))))
    return source.fetchone()[0]


@pytest.mark.parametrize("kind", ["json", "jsonb"])
def test_texts_at_paths_are_those_of_postgresql(
    staging: DuckDBPyConnection, source: Any, kind: str
) -> None:
    source.execute(f"select %s::{kind}::text", (DOCUMENT,))
    document = source.fetchone()[0]

    found = {
        path: read(staging, document, path, "text", may_repeat=kind == "json") for path in PATHS
    }

    assert found == {path: of_postgres(source, document, path, kind) for path in PATHS}


@pytest.mark.parametrize("path", ["a", "a.x", "b", "b.c", "b.d"])
def test_of_equal_keys_the_last_counts(staging: DuckDBPyConnection, source: Any, path: str) -> None:
    assert read(staging, TWICE, path, "text") == of_postgres(source, TWICE, path, "json")


@pytest.mark.parametrize(
    ("kind", "documents"),
    [
        ("smallint", ["-32768", "32767", '"12"', "1.0", "1.5e1", "120e-1"]),
        ("integer", ["2147483647", "-0", "0.0e5"]),
        ("bigint", ["9223372036854775807", "-9223372036854775808", "9007199254740993", "1E+18"]),
        ("numeric(38,3)", ["12345678901234567890.123", '"1.50"', "1e-3", "12.3e2", "-0.0010"]),
        ("numeric(38,0)", ["99999999999999999999999999999999999999", "1e37"]),
        ("numeric(38,38)", ["0.12345678901234567890123456789012345678", "-1e-38"]),
        ("boolean", ["true", "false", '"yes"', '"off"', "1", "0", '" T "']),
        ("uuid", ['"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"']),
        ("date", ['"2026-01-31"', '"2024-02-29T00:00:00Z"']),
        ("timestamp", ['"2026-01-31T10:00:00"', '"2026-01-31 10:00:00.123456Z"', '"2026-01-31"']),
        (
            "timestamptz",
            [
                *('"2026-01-31T10:00:00+02:00"', '"2026-01-31T10:00-0330"', '"2026-01-31T10:00Z"'),
                *('"2026-01-31"', '"2026-01-31 10:00:00.5"', '"0001-01-02T00:00:00+14"'),
            ],
        ),
        ("interval", ['"1 day 02:00:00"', '"-1 mons +3 days 04:05:06.5"']),
        ("text", ["[1,  2.50]", '{"a":1e5}', '"x"', "1.10", "null"]),
    ],
)
def test_values_are_those_of_postgresql(
    staging: DuckDBPyConnection, source: Any, kind: str, documents: Sequence[str]
) -> None:
    values = [f'{{"x": {value}}}' for value in documents]
    # PostgreSQL reads "1.5e1" as a number, and "1.5e1" as no whole number.
    cast = f"numeric::{kind}" if kind in ("smallint", "integer", "bigint") else kind

    found = [read(staging, document, "x", kind) for document in values]

    expected = [of_postgres(source, document, "x", "json", cast) for document in values]
    assert [_spelled(value, kind) for value in found] == [_spelled(v, kind) for v in expected]


def _spelled(value: str | None, kind: str) -> str | None:
    """PostgreSQL's text as DuckDB writes it."""
    if value is None or kind == "text":
        return value
    if kind == "boolean":
        return {"t": "true", "f": "false"}.get(value, value)
    if kind == "numeric(38,38)":
        return value.replace("0.", ".", 1)
    return value.replace("mons", "month").replace("months", "month").replace("+3", "3")


@pytest.mark.parametrize(
    "value", ["0.1", "1e300", "-0.0", "5.10", "12345678", '"Infinity"', "1e-7"]
)
def test_doubles_that_show_as_the_number_are_taken(staging: DuckDBPyConnection, value: str) -> None:
    assert float(read(staging, f'{{"x": {value}}}', "x", "double precision")) == float(
        value.strip('"')
    )


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        *(
            ("bigint", value)
            for value in ("1.5", "9223372036854775808", '"x"', "true", "[1]", '""')
        ),
        *(("bigint", value) for value in ("1e400", '{"a": 1}', "1e-1", '"0x10"', '"1_000"')),
        ("smallint", "32768"),
        *(("numeric(5,2)", value) for value in ("1000", "1.234", "1e-3", '"NaN"', "999.995")),
        *(("double precision", v) for v in ("12345678901234567890.123", "1e400", "1e-400")),
        *(("boolean", value) for value in ('"maybe"', "2", '""')),
        *(
            ("uuid", value)
            for value in ('"a0eebc99"', "1", '"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"')
        ),
        *(
            ("date", v)
            for v in ('"31.1.2026"', '"2025-02-29"', '"2026-01-31T10:00"', '"0000-01-01"')
        ),
        *(("timestamp", v) for v in ('"2026-01-31T10:00+02"', '"now"', '"infinity"', "1769853600")),
        *(("timestamptz", v) for v in ('"2026-01-31T10:00:00.1234567Z"', '"2026-01-31 10:00 UTC"')),
        *(("interval", v) for v in ('"P1D"', '"infinity"')),
        ("text", r'"nul \u0000 character"'),
        ("text", r'"lone \ud83d surrogate"'),
        ("json", r'"lone \ud83d surrogate"'),
    ],
)
def test_a_value_that_a_type_does_not_hold_exactly_is_told(
    staging: DuckDBPyConnection, kind: str, value: str
) -> None:
    assert read(staging, f'{{"x": {value}}}', "x", kind) == "inexact"


@pytest.mark.parametrize("kind", ["bigint", "numeric(10,2)", "text", "json", "boolean", "date"])
@pytest.mark.parametrize("document", [None, "{}", '{"x": null}', "null", "[]", '"x"', "7"])
def test_a_missing_path_and_null_are_null(
    staging: DuckDBPyConnection, kind: str, document: str | None
) -> None:
    assert read(staging, document, "x", kind) is None


@pytest.mark.parametrize("value", ['{"a":  1.10}', "[1e400, null]", "1.10", "true", '"a\\"b"'])
def test_json_keeps_its_text(staging: DuckDBPyConnection, value: str) -> None:
    assert read(staging, f'{{"x": {value}}}', "x", "json") == value


def test_a_path_may_lead_through_a_thousand_levels_of_a_long_text(
    staging: DuckDBPyConnection,
) -> None:
    deep = '{"a":' * 1000 + "1.10" + "}" * 1000
    document = json.dumps({"long": "x" * 5_000_000})[:-1] + f', "deep": {deep}}}'

    assert (
        read(staging, document, ".".join(["deep", *"a" * 100]), "text", may_repeat=False)
        == deep[500:-100]
    )
