"""Times that engines of the cloud lack are found in the footers of raw files."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from pyarrow.parquet import read_metadata

from lakefeed.errors import Refused
from lakefeed.transformation.dbt_adapter.ranges import RawFile, refuse_out_of_range


def written(file: Path, values: str) -> RawFile:
    duckdb.execute(f"copy (select {values}) to '{file}' (format parquet)")
    return RawFile("rows.parquet", read_metadata(file), pytest.fail)


@pytest.mark.parametrize(
    ("value", "lake_type", "held"),
    [
        ("timestamp 'infinity'", "timestamp", "times from year 1 to 9999"),
        ("date '-infinity'", "date", "days from year 1 to 9999"),
        ("timestamptz '10000-01-01 00:00:00+00'", "timestamptz", "times from year 1 to 9999"),
        ("date '0044-03-15 (BC)'", "date", "days from year 1 to 9999"),
        ("time '24:00:00'", "time", "times of the day before 24:00"),
    ],
)
def test_a_value_that_an_engine_lacks_is_refused_with_its_column(
    value: str, lake_type: str, held: str, tmp_path: Path
) -> None:
    file = written(tmp_path / "rows.parquet", f"{value} as until, 1 as id")

    with pytest.raises(Refused, match=f"column until holds .* that BigQuery can't, .* {held}"):
        refuse_out_of_range(file, (("id", "integer"), ("until", lake_type)), "BigQuery")
    refuse_out_of_range(file, (("id", "integer"),), "BigQuery")


def test_the_first_and_the_last_value_of_each_type_are_taken(tmp_path: Path) -> None:
    file = written(
        tmp_path / "rows.parquet",
        "date '0001-01-01' as d, date '9999-12-31' as e, time '23:59:59.999999' as k, "
        "timestamp '9999-12-31 23:59:59.999999' as t, null::timestamp as n",
    )

    columns = [("d", "date"), ("e", "date"), ("k", "time"), ("t", "timestamp"), ("n", "timestamp")]

    refuse_out_of_range(file, tuple(columns), "Snowflake")
