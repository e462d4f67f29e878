"""`lakefeed demo`: loads and builds an online shop three times, with changes in between."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from click.testing import CliRunner

from lakefeed.cli.main import main
from lakefeed.demo.server import embedded_postgres
from lakefeed.demo.shop import create_shop, generate_shop
from lakefeed.transformation.dbt_adapter.runner import run_dbt
from tests.conftest import Database, Lake


def test_the_demo_shows_its_results_and_can_be_repeated(shop: Lake) -> None:
    first = shop.process("demo", "--scale", "0.1")
    second = shop.process("demo", "--scale", "0.1")

    for ended in (first, second):
        assert ended.returncode == 0, ended
        assert re.search(
            r"loaded 9 of 9 tables; dbt built 20 models and passed \d+ tests", ended.stdout
        )
        assert re.search(r"shop\.addresses +\d+ +(\d) +\1 +2026-", ended.stdout)
        assert "nothing new in 9 tables; dbt was not started" in ended.stdout
        assert re.search(r"plain cursor +20\d\d-.* \(newest order\) +\d+ +lost", ended.stdout)
        assert re.search(r"Lakefeed +20\d\d-.* +\d+ +in the star schema", ended.stdout)
        assert re.search(r"2026-\d\d +(Kitchen|Gifts|Books) +\d+ +\d+\.\d\d", ended.stdout)
        assert re.search(r"Utrecht +20\d\d-\d\d-\d\d \d\d:\d\d +\d+ *\n", ended.stdout)
    assert shop.query("select count(*) > 100 from marts.fct_order_line") == [(True,)]


def test_the_demo_refuses_a_lake_that_is_not_its_own(shop: Lake) -> None:
    (shop.root / "data").mkdir()
    (shop.root / "data" / "precious").write_text("mine")

    ended = shop.process("demo")

    assert ended.returncode == 1
    assert "contains a lake that isn't the demo's" in ended.stderr
    assert (shop.root / "data" / "precious").read_text() == "mine"


@pytest.mark.faults
def test_demo_keep_leaves_a_database_to_continue_with(shop: Lake) -> None:
    ended = shop.process("demo", "--scale", "0.1", "--keep")
    found = re.search(r"export SHOP_DATABASE_URL='([^']+)'", ended.stdout)
    assert found, ended
    try:
        with closing(psycopg2.connect(found[1])) as session, session.cursor() as cursor:
            cursor.execute("update customers set updated_at = now() where customer_id = 1")
            session.commit()
        again = shop.command("run", SHOP_DATABASE_URL=found[1])
        assert "✓ shop.customers" in again.stdout, again
    finally:
        with embedded_postgres(shop.root / "data" / "postgres"):
            pass


def test_the_same_seed_gives_the_same_shop() -> None:
    assert generate_shop(0.1, 7) == generate_shop(0.1, 7)
    assert generate_shop(0.1, 7) != generate_shop(0.1, 8)
    assert generate_shop(0.3, 7).count() > 2 * generate_shop(0.1, 7).count()


def test_every_model_and_column_is_described_on_the_docs_site(
    database: Database, shop: Lake
) -> None:
    with closing(psycopg2.connect(database.url)) as session:
        create_shop(session, generate_shop(0.05, 7))
    assert shop.command("run", SHOP_DATABASE_URL=database.url).returncode == 0

    run_dbt(shop.project, "docs", ["generate"], shop.project.warehouse)

    target = shop.root / "dbt" / "target"
    assert (target / "index.html").exists()
    manifest = json.loads((target / "manifest.json").read_text())
    catalog = json.loads((target / "catalog.json").read_text())
    missing = []
    for name, node in manifest["nodes"].items():
        if node["resource_type"] != "model":
            continue
        assert node["description"], name
        described = {column for column, entry in node["columns"].items() if entry["description"]}
        missing += [f"{name}.{c}" for c in catalog["nodes"][name]["columns"] if c not in described]
    assert missing == []


def test_marts_of_a_source_that_is_not_declared_are_not_built(
    database: Database, shop: Lake
) -> None:
    database.execute("create table t (id int primary key)", "insert into t values (1)")
    (shop.root / "sources.yaml").write_text(
        "version: 1\nsources:\n  other:\n    connection: ${OTHER}\n"
        "    tables: {t: {mode: full_refresh}}\n"
    )

    ended = shop.command("run", OTHER=database.url)

    assert ended.returncode == 0, ended
    assert "dbt built 1 model and" in ended.stdout


def test_the_shipped_files_are_current() -> None:
    """This repository is the demo's project, so what `sync` writes is committed."""
    repository = Path(__file__).resolve().parents[2]
    environment = {k: v for k, v in os.environ.items() if k != "SHOP_DATABASE_URL"}
    ended = subprocess.run(
        [sys.executable, "-m", "lakefeed.cli.main", "check"],
        cwd=repository, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.stdout.endswith("\n9 tables checked: 1 warning\n"), ended


def test_outside_the_demos_project_the_error_names_the_command(lake: Lake, tmp_path: Path) -> None:
    lake.declare("t: {mode: full_refresh}")
    for folder in (lake.root, tmp_path / "empty"):
        folder.mkdir(exist_ok=True)

        ended = CliRunner().invoke(main, ["demo", "--project", str(folder)])

        assert ended.exit_code == 1
        assert "isn't the demo's project" in ended.stderr
        assert "run `make demo` in a clone of Lakefeed's repository" in ended.stderr


@pytest.mark.engines
def test_the_demo_runs_with_raw_in_an_object_store(shop: Lake) -> None:
    ended = shop.process("demo", "--scale", "0.1", "--store", "s3")

    assert ended.returncode == 0, ended
    assert "raw: {url: s3://lake/raw}" in ended.stdout
    assert re.search(r"\d+ files in s3://lake/raw", ended.stdout)
    assert "nothing new in 9 tables; dbt was not started" in ended.stdout
