"""`lakefeed check --warehouse` on Spark: what it says of a server, and what it says it lacks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lakefeed.orchestration.project.sync import sync
from tests.conftest import Database, Lake
from tests.spark.conftest import CACHED, Running

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]


@pytest.fixture
def checked(database: Database, lake: Lake) -> Lake:
    """A project that could be loaded and built."""
    database.execute("create table t (id int primary key, at timestamptz default now())")
    sync(lake.declare("t: {cursor: at}").project)
    return lake


def test_a_server_that_lacks_nothing_is_told_with_its_versions(
    checked: Lake, running: Running, catalog: str
) -> None:
    ended = checked.command("check", "--warehouse")

    assert ended.returncode == 0, ended
    assert "warehouse: Apache Spark 4.1.3 (Iceberg 1.12.0) in " in ended.stdout
    assert f"{running.remote}/{catalog}" in ended.stdout


@pytest.mark.at_night
def test_a_server_whose_readers_keep_what_they_know_of_tables_is_refused(
    checked: Lake, running: Running
) -> None:
    warehouse = f"{{type: spark, remote: '{running.remote}', catalog: {CACHED}}}"
    cached = replace(checked, warehouse=warehouse).declare("t: {cursor: at}")
    sync(cached.project)

    ended = cached.command("check", "--warehouse")

    assert ended.returncode == 1
    assert f"the server doesn't set spark.sql.catalog.{CACHED}.cache-enabled=false" in ended.stderr
    assert "sources.yaml:" in ended.stderr
