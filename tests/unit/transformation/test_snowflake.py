"""What is sent to Snowflake, and what is refused before: an emulator accepts more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from sqlglot import exp, parse_one

from lakefeed.declaration.project import Location
from lakefeed.errors import DeclarationError, Refused
from lakefeed.source.inspection.equality import FORMS
from lakefeed.transformation.dbt_adapter.snowflake.key_forms import snowflake_form
from lakefeed.transformation.dbt_adapter.snowflake.raw_rows import Stage, open_rows
from lakefeed.transformation.dbt_adapter.snowflake.staged_files import below_stage
from lakefeed.transformation.dbt_adapter.snowflake.types import snowflake_type
from lakefeed.transformation.targets.snowflake import Snowflake, connection_arguments
from lakefeed.transformation.targets.snowflake_names import (
    identified,
    name_of,
    quoted,
    stored_name,
    text_literal,
)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("order_id", "ORDER_ID"),
        ("select", "SELECT"),
        ("_staged_batch", "_STAGED_BATCH"),
        ("The Key", "The Key"),
        ("ID", "ID"),
        ("a.b", "a.b"),
        ("größe", "größe"),
    ],
)
def test_a_name_is_stored_as_a_user_finds_it_and_is_found_again(name: str, stored: str) -> None:
    assert stored_name(name) == stored
    assert stored_name(name_of(stored)) == stored


def test_names_are_quoted_and_their_quotes_doubled() -> None:
    assert quoted("marts", 'a"b') == '"MARTS"."a""b"'


def test_identifiers_mean_what_snowflake_takes_them_for() -> None:
    table = parse_one('select * from marts."FCT"', dialect="snowflake").find(exp.Table)
    assert table is not None
    assert [identified(table.args["db"]), identified(table.this)] == ["marts", "fct"]


def test_backslashes_and_quotes_stay_what_they_are_in_texts() -> None:
    assert text_literal(r"it's a \n") == r"'it\'s a \\n'"


def test_a_url_has_what_the_connector_takes_and_shows_no_secret() -> None:
    url = "snowflake://me:p%40ss@org-account?warehouse=W&role=R&private_key_file=/run/key.p8"

    assert connection_arguments(url) == {
        "account": "org-account",
        "user": "me",
        "password": "p@ss",
        "warehouse": "W",
        "role": "R",
        "private_key_file": "/run/key.p8",
    }
    snowflake = Snowflake(url, "analytics", "LANDING.RAW")
    assert snowflake.shown == "snowflake://org-account/analytics"
    assert "p%40ss" not in repr(snowflake)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://org-account.snowflakecomputing.com", "isn't the URL of a Snowflake account"),
        ("snowflake://me@org-account?passcode=1", "a parameter that isn't known: passcode"),
    ],
)
def test_a_url_that_is_none_of_snowflakes_is_refused(url: str, told: str) -> None:
    with pytest.raises(DeclarationError, match=told):
        connection_arguments(url)


@pytest.mark.parametrize(
    ("stage", "raw", "path"),
    [
        ("s3://bucket/raw/", "s3://bucket/raw", ""),
        ("s3://bucket/", "s3://bucket/a/raw", "a/raw/"),
        ("s3://bucket/raw", "s3://bucket/raw2", None),
        ("s3://other/raw", "s3://bucket/raw", None),
        ("gcs://bucket/", "gs://bucket/raw", "raw/"),
        ("azure://account.blob.core.windows.net/container/", "az://container/raw", "raw/"),
    ],
)
def test_raw_is_found_below_the_stage_or_not_at_all(stage: str, raw: str, path: str | None) -> None:
    assert below_stage(stage, raw) == path


def test_a_scale_that_snowflake_lacks_is_refused_by_name() -> None:
    assert snowflake_type("decimal(38,37)") == "NUMBER(38,37)"
    with pytest.raises(Refused, match=r"Snowflake has no decimal\(38,38\)"):
        snowflake_type("decimal(38,38)")


@pytest.mark.parametrize("form", FORMS)
def test_keys_are_compared_by_sql_of_snowflakes(form: str) -> None:
    told = snowflake_form(form).replace("{value}", '"V"')

    assert parse_one(f"select {told}", dialect="snowflake")
    assert "(?:" not in told, "it has no groups that don't capture"
    assert "try_cast(" not in told or "hugeint" not in told


@pytest.fixture
def raw(tmp_path: Path) -> Location:
    return Location(str(tmp_path), tmp_path)


def opened(raw: Location, columns: dict[str, str], loads: list[dict[str, Any]]) -> list[str]:
    """The statements that open these loads."""
    said: list[str] = []
    open_rows(said.append, "rows", loads, columns, (raw, Stage("LANDING.RAW", "raw/")))
    return said


def load(raw: Location, load_id: str, files: dict[str, str]) -> dict[str, Any]:
    """A load whose files have the rows of these queries."""
    folder = Path(raw.url, "shop__orders")
    folder.mkdir(exist_ok=True)
    with duckdb.connect() as session:
        for name, query in files.items():
            session.execute(f"copy ({query}) to '{folder / name}' (format parquet)")
    return {"load_id": load_id, "files": list(files), "folder": str(folder)}


def test_files_are_copied_by_name_into_tables_of_their_own_types(raw: Location) -> None:
    one = load(raw, "1", {"a.parquet": "select 1::int as id, uuid() as u, '1' as _dlt_load_id"})
    two = load(raw, "2", {"b.parquet": "select 2::bigint as id, uuid() as u, '2' as _dlt_load_id"})

    said = opened(raw, {"id": "bigint", "u": "uuid"}, [one, two])

    assert said[0] == (
        'create or replace temporary table "ROWS_0" '
        '("_DLT_LOAD_ID" VARCHAR, "ID" NUMBER(10,0), "U" BINARY)'
    )
    assert said[1].startswith(
        """copy into "ROWS_0" from @LANDING.RAW/raw/shop__orders/ files = ('a.parquet') """
    )
    assert "on_error = abort_statement" in said[1]
    assert '"ID" NUMBER(19,0)' in said[2]
    assert said[4].startswith('create or replace temporary view "ROWS" as')
    assert parse_one(said[4], dialect="snowflake")


def test_a_copy_names_at_most_a_thousand_files(raw: Location) -> None:
    query = "select 1::int as id, '1' as _dlt_load_id"
    first = load(raw, "1", {"0.parquet": query})
    source = Path(first["folder"], "0.parquet").read_bytes()
    for number in range(1, 1001):
        Path(first["folder"], f"{number}.parquet").write_bytes(source)
    first["files"] = [f"{number}.parquet" for number in range(1001)]

    copies = [s for s in opened(raw, {"id": "integer"}, [first]) if s.startswith("copy into")]

    assert [statement.count(".parquet") for statement in copies] == [1000, 1]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "'infinity'"),
        ("timestamp", "'-infinity'"),
        ("timestamptz", "'0044-03-15 (BC) 00:00:00+00'"),
        ("timestamp", "'10000-01-01'"),
        ("time", "'24:00:00'"),
    ],
)
def test_times_that_snowflake_lacks_are_refused_by_name(
    raw: Location, kind: str, value: str
) -> None:
    query = f"select 1::int as id, {value}::{kind} as t, '1' as _dlt_load_id"

    with pytest.raises(Refused, match="column t holds infinity or another value that Snowflake"):
        opened(raw, {"id": "integer", "t": kind}, [load(raw, "1", {"a.parquet": query})])


def test_the_first_and_the_last_times_that_snowflake_has_are_let_pass(raw: Location) -> None:
    query = (
        "select '0001-01-01'::date as d, '9999-12-31 23:59:59.999999'::timestamp as t,"
        " '23:59:59.999999'::time as o, null::date as n, '1' as _dlt_load_id"
    )
    columns = {"d": "date", "t": "timestamp", "o": "time", "n": "date"}

    assert opened(raw, columns, [load(raw, "1", {"a.parquet": query})])
