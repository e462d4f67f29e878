"""`lakefeed init --warehouse`: projects that build a DuckLake, or on Spark, with raw in a store."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakefeed.demo.store import ObjectStore
from lakefeed.orchestration.project.init import init_project
from tests.conftest import BUCKET, Database, Lake

NEXT = {
    "ducklake": (
        "Name your bucket in sources.yaml, and the catalogue's database in the variable "
        "LAKE_CATALOG_URL,\nin .env or the environment. Then:\n"
        "  pip install 'lakefeed[ducklake,s3]'\n"
        "  lakefeed sync\n"
        "  lakefeed check --warehouse\n"
        "  lakefeed run\n"
    ),
    "spark": (
        "Name your bucket and your catalog in sources.yaml, and the server in the variable\n"
        "SPARK_REMOTE, in .env or the environment. Then:\n"
        "  pip install 'lakefeed[spark,s3]'\n"
        "  lakefeed sync\n"
        "  lakefeed check --warehouse\n"
        "  lakefeed run\n"
    ),
}


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Lake:
    """An empty folder, and a table in the database."""
    database.execute(
        "create table orders (id int primary key, updated_at timestamptz default now())",
        "insert into orders values (1), (2)",
    )
    return Lake(tmp_path)


@pytest.mark.parametrize("warehouse", NEXT)
def test_init_says_what_its_project_needs_before_the_first_run(
    warehouse: str, shop: Lake, database: Database
) -> None:
    ended = shop.command("init", "--connection", database.url, "--warehouse", warehouse)

    assert ended.returncode == 0, ended
    assert ended.stdout.endswith(NEXT[warehouse]), ended.stdout
    declaration = shop.project.declaration
    assert (declaration.warehouse.type, declaration.warehouse.keep) == (warehouse, 3)
    assert declaration.raw.url == "s3://bucket/raw"
    lines = (shop.root / "sources.yaml").read_text().splitlines()
    assert f"(docs/{warehouse}.md" in "\n".join(lines)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("warehouse", ["duckdb", *NEXT])
def test_the_image_of_the_project_has_what_its_warehouse_needs(
    warehouse: str, shop: Lake, database: Database
) -> None:
    init_project(shop.root, database.url, None, (), warehouse=warehouse)

    extras = "airflow,celery,ducklake,s3" + (",spark" if warehouse == "spark" else "")
    assert f".whl)[{extras}]" in (shop.root / "Dockerfile").read_text()


@pytest.mark.engines
def test_a_ducklake_runs_once_its_bucket_and_catalogue_are_named(
    shop: Lake, database: Database, catalogue: Database, store: ObjectStore
) -> None:
    assert store
    assert shop.command("init", "--connection", database.url, "--warehouse", "ducklake")
    declaration = shop.root / "sources.yaml"
    declaration.write_text(
        declaration.read_text().replace("s3://bucket/", f"s3://{BUCKET}/{catalogue.name}/")
    )

    synced, checked, ended = (
        shop.command(*words, LAKE_CATALOG_URL=catalogue.url)
        for words in (("sync",), ("check", "--warehouse"), ("run",))
    )

    assert synced.returncode == 0, synced
    assert checked.returncode == 0, checked
    assert ended.returncode == 0, ended
    assert "loaded 1 of 1 table;" in ended.stdout
