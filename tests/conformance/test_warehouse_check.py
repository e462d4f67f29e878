"""`lakefeed check --warehouse` says what the warehouse is, and names what it lacks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lakefeed.extras import require
from lakefeed.orchestration.project.sync import sync
from tests.conftest import CATALOGUE_VARIABLE, DUCKLAKE, Database, Lake

SPARK = "{type: spark, remote: 'sc://127.0.0.1:1', catalog: lake}"


@pytest.fixture
def shop(database: Database, lake: Lake) -> Lake:
    """A project that could be loaded and built."""
    database.execute("create table a (id int primary key, at timestamptz default now())")
    sync(lake.declare("a: {cursor: at}").project)
    return lake


@pytest.fixture
def lakes(shop: Lake, catalogue: Database) -> Lake:
    """The same with a DuckLake as its warehouse, which doesn't exist yet."""
    assert catalogue.name
    on_ducklake = replace(shop, warehouse=DUCKLAKE).declare("a: {cursor: at}")
    sync(on_ducklake.project)
    return on_ducklake


def checked(lake: Lake, *options: str) -> str:
    """What the check says if it finds nothing."""
    ended = lake.command("check", "--warehouse", *options)
    assert ended.returncode == 0, ended
    return ended.stdout


def refused(lake: Lake, code: int = 1) -> str:
    """What the check says if it finds something."""
    ended = lake.command("check", "--warehouse")
    assert ended.returncode == code, ended
    return ended.stderr


def test_it_says_which_engine_builds_where(shop: Lake) -> None:
    assert "warehouse: DuckDB 1.5.5 in data/warehouse.duckdb\n" in checked(shop)


def test_json_has_the_engine(shop: Lake) -> None:
    assert json.loads(checked(shop, "--json"))["warehouse"] == {
        "engine": "DuckDB",
        "version": "1.5.5",
        "place": "data/warehouse.duckdb",
    }


def test_a_damaged_file_is_named(shop: Lake) -> None:
    (shop.root / "data/warehouse.duckdb").write_bytes(b"no warehouse")

    told = refused(shop)

    assert "warehouse.duckdb" in told
    assert "lakefeed rebuild" in told


def test_a_link_to_a_disk_that_is_not_there_is_named_once(shop: Lake) -> None:
    (shop.root / "data/warehouse.duckdb").symlink_to("/nowhere/warehouse.duckdb")

    assert refused(shop).count("/nowhere/warehouse.duckdb") == 1


@pytest.mark.engines
def test_a_lake_is_told_with_its_versions_and_is_not_created(
    catalogue: Database, lakes: Lake
) -> None:
    told = checked(lakes)

    assert "warehouse: DuckLake " in told
    assert "(DuckDB 1.5.5, PostgreSQL " in told
    assert catalogue.rows("select 1 from pg_tables where schemaname = 'public'") == []
    assert not (lakes.root / "data/lake").exists()


@pytest.mark.engines
def test_a_lake_whose_files_are_elsewhere_is_refused(lakes: Lake) -> None:
    lakes.run()
    moved = replace(lakes, warehouse=DUCKLAKE.replace("data/lake", "data/other"))
    sync(moved.declare("a: {cursor: at}").project)

    assert "the lake's files aren't in" in refused(moved)


@pytest.mark.engines
def test_a_catalogue_that_the_role_may_not_write_is_refused_with_its_line(
    catalogue: Database, lakes: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"reader_{catalogue.name}"
    catalogue.execute(f"create role {role} login")
    monkeypatch.setenv(CATALOGUE_VARIABLE, catalogue.url.replace("postgres:@", f"{role}:@"))

    told = refused(lakes)

    catalogue.execute(f"drop role {role}")
    assert "sources.yaml:" in told
    assert "this role may not write the catalogue's database" in told


def test_a_spark_that_cannot_be_reached_or_lacks_its_client_is_told(shop: Lake) -> None:
    on_spark = replace(shop, warehouse=SPARK).declare("a: {cursor: at}")
    sync(on_spark.project)
    try:
        require("pyspark", "spark", "this test")
    except ImportError:
        assert "pip install 'lakefeed[spark]'" in refused(on_spark, 2)
    else:
        assert "can't reach the Spark at sc://127.0.0.1:1" in refused(on_spark, 3)


def test_it_says_that_no_promise_was_tested_where_generated_files_are_stale(shop: Lake) -> None:
    stale = shop.declare("a: {cursor: at, history: true}")

    ended = stale.command("check", "--warehouse", "--conformance")

    assert ended.returncode == 2, ended
    assert "lakefeed sync" in ended.stderr
    assert ended.stderr.endswith(
        "no promise was tested: fix what is named above, then run it again\n"
    )
    assert not (shop.root / "data/conformance").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--conformance"], "--conformance needs --warehouse"),
        (["--warehouse", "--conformance", "--json"], "--json doesn't go with --conformance"),
        (["--warehouse", "--server", "postgresql://h/d"], "--server is for the database of"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    shop: Lake, options: list[str], message: str
) -> None:
    ended = shop.command("check", *options)

    assert ended.returncode == 2
    assert message in ended.stderr
