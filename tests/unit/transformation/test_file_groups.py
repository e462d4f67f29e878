"""Which raw files an engine can read in one go, and what is in them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from pyarrow.parquet import write_table

from lakefeed.errors import Refused
from lakefeed.sql import literal
from lakefeed.transformation.dbt_adapter.file_groups import FileGroup, grouped_files


def loads_of(folder: Path, **files: str) -> list[dict[str, Any]]:
    """Loads as they are announced, each of these files."""
    return [
        {"load_id": load_id, "folder": str(folder), "files": named.split()}
        for load_id, named in files.items()
    ]


def write(folder: Path, name: str, **columns: Any) -> None:
    write_table(pa.table(columns), folder / name)


def test_files_with_the_same_columns_are_one_group_whatever_their_order(tmp_path: Path) -> None:
    one, word = pa.array([1], pa.int32()), pa.array(["a"])
    write(tmp_path, "a.parquet", id=one, word=word)
    write(tmp_path, "b.parquet", word=word, id=one, unwanted=one)
    write(tmp_path, "c.parquet", id=pa.array([1], pa.int64()), word=word)

    found = grouped_files(
        loads_of(tmp_path, first="a.parquet", second="b.parquet", third="c.parquet"),
        ["id", "word"],
        None,
        "Spark",
    )

    assert found == [
        FileGroup((("id", "integer"), ("word", "varchar")), ("a.parquet", "b.parquet"), {}),
        FileGroup((("id", "bigint"), ("word", "varchar")), ("c.parquet",), {}),
    ]


def test_a_file_of_several_loads_names_those_that_list_it(tmp_path: Path) -> None:
    write(tmp_path, "x.compact-1.parquet", id=pa.array([1], pa.int32()))

    (found,) = grouped_files(
        loads_of(tmp_path, first="x.compact-1.parquet", second="x.compact-1.parquet"),
        ["id"],
        None,
        "Spark",
    )

    assert found.files == ("x.compact-1.parquet",)
    assert found.named == {"x.compact-1.parquet": {"first", "second"}}


def test_each_lake_type_is_told_from_a_footer_that_duckdb_wrote(tmp_path: Path) -> None:
    values = {
        "uuid": UUID(int=1),
        "time": dt.time(1, 2, 3),
        "timestamp": dt.datetime(2026, 1, 1),
        "timestamptz": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        "date": dt.date(2026, 1, 1),
        "decimal(12,3)": Decimal("1.5"),
        "smallint": 1,
        "integer": 1,
        "bigint": 1,
        "float": 1.5,
        "double": 1.5,
        "boolean": True,
        "varchar": "text",
        "blob": b"bytes",
    }
    listed = ", ".join(f'cast(? as {kind}) as "{kind}"' for kind in values)
    file = literal(str(tmp_path / "a.parquet"))
    duckdb.execute(f"copy (select {listed}) to {file} (format parquet)", [*values.values()])

    (found,) = grouped_files(loads_of(tmp_path, one="a.parquet"), [*values], None, "Spark")

    assert dict(found.columns) == {kind: kind for kind in values}


def test_a_column_of_a_type_that_raw_never_has_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet", id=pa.array([[1]]))

    with pytest.raises(Refused, match=r"column id has the type list.*, which Spark can't read"):
        grouped_files(loads_of(tmp_path, one="a.parquet"), ["id"], None, "Spark")
