"""The demo built by DuckDB and by Spark from one raw layer, which neither prunes for the other."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from typing import Any

import duckdb
import pytest
import yaml

from lakefeed.demo.shop import create_shop, generate_shop
from lakefeed.demo.shop_events import live_a_day
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.transformation.targets.spark_session import open_session
from tests.conftest import Database, Lake, copy_shop_project
from tests.spark.conftest import Running
from tests.spark.test_dbt import counted

pytestmark = [pytest.mark.spark, pytest.mark.at_night, pytest.mark.timeout(1200)]


@pytest.fixture
def source(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The demo's shop, small."""
    monkeypatch.setenv("SHOP_DATABASE_URL", database.url)
    with closing(database.connect()) as session:
        create_shop(session, generate_shop(0.02, 7))
    return database


@pytest.fixture
def engines(source: Database, lake: Lake) -> tuple[Lake, Lake]:
    """The demo on a DuckDB file, which loads, and on Spark, which only builds: one raw layer."""
    assert source.name
    shutil.rmtree(lake.root)
    on_file = replace(lake, root=lake.root.with_name("on_file"), warehouse="")
    for project in (on_file, lake):
        copy_shop_project(project.root)
        declaration = project.root / "sources.yaml"
        declared = yaml.safe_load(declaration.read_text())
        declared["raw"] = {"url": lake.raw_url}
        if project.warehouse:
            declared["warehouse"] = yaml.safe_load(project.warehouse)
        declaration.write_text(yaml.safe_dump(declared, sort_keys=False))
        ended = project.command("sync")
        assert ended.returncode == 0, ended
    return on_file, lake


def differing_marts(on_file: Lake, running: Running, catalog: str) -> dict[str, Any]:
    """By mart, the rows that only DuckDB has published, and those that only Spark has."""
    spark, found = open_session(running.remote, catalog), {}
    with duckdb.connect(str(on_file.project.warehouse), read_only=True) as file:
        file.execute("set timezone = 'UTC'")
        marts = file.execute(
            "select table_name, list(column_name) from information_schema.columns "
            "where table_schema = 'marts' and column_name <> '_staged_batch' group by all"
        ).fetchall()
        assert len(marts) > 5
        for mart, columns in marts:
            quoted = [", ".join(f"{mark}{name}{mark}" for name in columns) for mark in '"`']
            ours = counted(file.execute(f"select {quoted[0]} from marts.{mart}").to_arrow_table())
            theirs = counted(spark.arrow(f"select {quoted[1]} from public.{mart}"))
            if ours != theirs:
                found[mart] = (ours - theirs, theirs - ours)
    return found


def test_both_publish_the_same_marts_and_a_prune_waits_for_both(
    source: Database, engines: tuple[Lake, Lake], running: Running, catalog: str
) -> None:
    on_file, on_spark = engines
    for command, project in (("run", on_file), ("build", on_spark)):
        ended = project.command(command)
        assert ended.returncode == 0, ended
    assert differing_marts(on_file, running, catalog) == {}

    with closing(source.connect()) as session:
        live_a_day(session, 3)
    assert on_file.command("run", "--full-refresh", "--select", "shop.orders").returncode == 0
    assert on_file.command("run").returncode == 0
    pruned = on_file.command("prune")
    assert pruned.returncode == 0, pruned
    assert f"aren't built yet by {running.remote}/{catalog} (last built " in pruned.stdout
    assert len(CommitLog(on_file.project.raw, "shop__orders").loads()) > 1

    assert on_spark.command("build").returncode == 0
    assert differing_marts(on_file, running, catalog) == {}
    assert on_file.command("prune").returncode == 0
    assert len(CommitLog(on_file.project.raw, "shop__orders").loads()) == 1
    assert on_spark.command("rebuild").returncode == 0
    assert differing_marts(on_file, running, catalog) == {}
