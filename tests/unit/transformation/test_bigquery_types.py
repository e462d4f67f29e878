"""How values of raw get into BigQuery's types, and which can't."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.declaration.project import Location
from lakefeed.errors import Refused
from lakefeed.source.inspection.equality import BIGQUERY_FORMS, comparable
from lakefeed.transformation.dbt_adapter.bigquery.raw_rows import open_rows
from lakefeed.transformation.dbt_adapter.bigquery.types import (
    RawColumn,
    bigquery_form,
    bigquery_type,
    lost,
)


@pytest.mark.parametrize(
    ("lake_type", "held_as"),
    [
        ("smallint", "int64"),
        ("float", "float64"),
        ("decimal(38,9)", "numeric"),
        ("decimal(29,0)", "numeric"),
        ("decimal(30,0)", "bignumeric"),
        ("decimal(12,10)", "bignumeric"),
        ("decimal(38,38)", "bignumeric"),
        ("timestamp", "datetime"),
        ("timestamptz", "timestamp"),
        ("time", "time"),
        ("uuid", "string"),
        ("blob", "bytes"),
    ],
)
def test_each_type_is_held_by_one_that_has_its_values(lake_type: str, held_as: str) -> None:
    assert bigquery_type(lake_type) == held_as


def test_a_uuid_is_loaded_as_bytes_and_read_as_text() -> None:
    column = RawColumn("u", "uuid")

    assert column.loaded_as == "bytes"
    assert column.read_by("files.`u`").startswith("substr(to_hex(files.`u`), 1, 8) || '-' || ")


@pytest.mark.parametrize(
    ("present", "declared"),
    [
        ("integer", "integer"),
        ("integer", "bigint"),
        ("decimal(10,2)", "decimal(12,4)"),
        ("date", "timestamp"),
        ("bigint", "varchar"),
    ],
)
def test_what_widens_loses_nothing(present: str, declared: str) -> None:
    assert lost(present, declared, "x") is None


def test_a_decimal_of_fewer_places_is_told_from_its_rounding_though_its_type_is_the_same() -> None:
    assert bigquery_type("decimal(12,4)") == bigquery_type("decimal(10,2)")

    condition = lost("decimal(12,4)", "decimal(10,2)", "x")

    assert condition is not None
    assert "round(safe_cast(x as bignumeric), 2) <> safe_cast(x as bignumeric)" in condition
    assert ">= bignumeric '100000000'" in condition


def test_a_narrower_whole_number_is_bounded() -> None:
    assert lost("bigint", "integer", "x") == "x < -2147483648 or x >= 2147483648"


@pytest.mark.parametrize("url", ["data/raw", "s3://bucket/raw"])
def test_raw_that_is_elsewhere_is_refused(url: str, tmp_path: Path) -> None:
    raw = Location(url, tmp_path)

    with pytest.raises(Refused, match="loads raw files from Google's object store"):
        open_rows(None, [], {"id": "integer"}, raw)  # type: ignore[arg-type]


def test_a_column_whose_name_bigquery_cannot_have_is_refused(tmp_path: Path) -> None:
    raw = Location("gs://bucket/raw", tmp_path)

    with pytest.raises(Refused, match=r"column a\.b has \. in its name"):
        open_rows(None, [], {"a.b": "integer"}, raw)  # type: ignore[arg-type]


@pytest.mark.parametrize("pg_type", ["numeric", "real", "real[]", "interval", "jsonb"])
def test_every_form_in_which_keys_are_compared_is_written_for_bigquery(pg_type: str) -> None:
    form = comparable(pg_type)

    assert form in BIGQUERY_FORMS
    assert "::" not in bigquery_form(form or "")
