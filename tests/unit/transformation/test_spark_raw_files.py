"""The patterns by which Spark is told of raw files: they match these files, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.declaration.project import Location
from lakefeed.transformation.dbt_adapter.spark.raw_files import patterns_of


def test_files_are_named_folder_by_folder_since_spark_lists_each_folder_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    raw = Location("s3://bucket/raw", Path("/project"))
    loads = [{"load_id": "1.1", "folder": "s3://bucket/raw/shop__t", "files": []}]
    files = ["2026-11-23/1.1.a.parquet", "2026-11-23/1.2.b.parquet", "2026-11-24/1.3.c.parquet"]

    assert list(patterns_of(files, loads, raw)) == [
        "s3a://bucket/raw/shop__t/{2026-11-23/{1.1.a.parquet,1.2.b.parquet},"
        "2026-11-24/{1.3.c.parquet}}"
    ]


def test_signs_of_patterns_stand_for_themselves(tmp_path: Path) -> None:
    folder = tmp_path / "a*b?[c]{d,e}"
    loads = [{"load_id": "1.1", "folder": f"{folder}/t", "files": []}]

    assert list(patterns_of(["1.1.a,b.parquet"], loads, None)) == [
        rf"file:{tmp_path}/a\*b\?\[c\]\{{d\,e\}}/t/{{{{1.1.a\,b.parquet}}}}"
    ]


def test_thousands_of_files_are_several_patterns(tmp_path: Path) -> None:
    loads = [{"load_id": "1.1", "folder": f"{tmp_path}/t", "files": []}]
    files = [f"2026-11-23/1.{number}.a.parquet" for number in range(2500)]

    found = list(patterns_of(files, loads, None))

    assert [pattern.count(".parquet") for pattern in found] == [1000, 1000, 500]
