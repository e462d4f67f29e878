"""docs/versions.md names the versions that are locked, and the targets that test them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lakefeed.demo.spark.distribution import PACKAGES as JARS
from tests.conftest import Database

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs/versions.md").read_text(encoding="utf-8")
LOCK = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
ROWS = [
    tuple(cell.strip() for cell in line.strip("|").split("|"))
    for line in PAGE.splitlines()
    if line.startswith("| ") and line.count("|") == 4
][1:]
PACKAGES = {
    "dlt": "dlt",
    "dbt-core": "dbt-core",
    "dbt-duckdb": "dbt-duckdb",
    "DuckDB": "duckdb",
    "Airflow": "apache-airflow",
}
OTHERS = {"dbt-core": "dbt112", "DuckDB": "duckdb2"}


def documented(name: str) -> list[str]:
    return [version for row, version, _ in ROWS if row == name]


def pinned(text: str, package: str) -> str:
    (version,) = re.findall(rf"^{package}==([\w.]+)", text, re.MULTILINE)
    return str(version)


@pytest.mark.parametrize("name", PACKAGES)
def test_the_table_has_the_version_of_the_lock(name: str) -> None:
    assert documented(name)[0] == pinned(LOCK, PACKAGES[name])


@pytest.mark.parametrize("name", OTHERS)
def test_the_table_has_the_other_version_that_a_target_tests(name: str) -> None:
    folder, package = REPOSITORY / "tests/versions", PACKAGES[name]
    tested = {
        pinned((folder / f"{OTHERS[name]}{suffix}").read_text(encoding="utf-8"), package)
        for suffix in (".in", ".lock")
    }

    assert {documented(name)[1]} == tested
    (target,) = [how for row, version, how in ROWS if row == name and version in tested]
    assert f"make test-{OTHERS[name]}" in target


def test_the_table_has_the_spark_and_the_iceberg_of_the_cluster() -> None:
    server = (REPOSITORY / "tests/versions/spark_server.lock").read_text(encoding="utf-8")
    (iceberg,) = {name.rpartition(":")[2] for name in JARS if "iceberg" in name}

    assert documented("Spark, as the warehouse") == [pinned(server, "pyspark")]
    assert documented("Iceberg, as Spark's tables") == [iceberg]


def test_the_table_has_the_pythons_that_ci_tests() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())

    pythons = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]

    assert documented("Python") == [", ".join(pythons)]


def test_the_table_has_the_embedded_postgresql(source: Database) -> None:
    ((number,),) = source.rows("show server_version_num")

    assert documented("PostgreSQL, as the source")[0] == str(int(number) // 10000)


def test_every_target_that_the_page_names_exists() -> None:
    for target in set(re.findall(r"`make ([\w-]+)`", PAGE)):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_the_page_names_no_other_duckdb_than_the_tested_ones() -> None:
    named = set(re.findall(r"(?:DuckDB |duckdb==|than |to |for )(\d+\.\d+\.\d+)", PAGE))

    assert named <= set(documented("DuckDB"))
