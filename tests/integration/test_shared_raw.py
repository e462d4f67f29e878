"""Two projects that build from one raw layer: neither prunes away what the other needs."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import Database, Lake

pytestmark = pytest.mark.builds

DECLARED = "t: {mode: full_refresh}\nother: {cursor: at}"
STAGED = "select id, word from staging.stg_shop__t order by id"


@pytest.fixture
def loading(database: Database, lake: Lake) -> Lake:
    """A project that loads two tables and builds them."""
    for table in ("t", "other"):
        database.execute(
            f"create table {table} (id int primary key, word text, at timestamptz default now())",
            f"insert into {table} values (1, 'one')",
        )
    assert lake.declare(DECLARED).run().exit_code == 0
    return lake


@pytest.fixture
def building(loading: Lake) -> Lake:
    """A second project on the same raw layer, which only builds, and has done so."""
    root = loading.root.with_name(f"{loading.root.name}_building")
    ignored = shutil.ignore_patterns("target", "logs", "data", ".lakefeed")
    shutil.copytree(loading.root, root, ignore=ignored)
    second = replace(loading, root=root, raw_url=str(loading.root / "data/raw"))
    assert second.declare(DECLARED).command("sync").returncode == 0
    ended = second.command("build")
    assert ended.returncode == 0, ended
    assert second.query(STAGED) == [(1, "one")]
    return second


def loads(lake: Lake) -> int:
    return len(CommitLog(lake.project.raw, "shop__t").loads())


def test_loads_stay_until_both_have_built_the_newer_ones(
    database: Database, loading: Lake, building: Lake
) -> None:
    database.execute("insert into t values (2, 'two')")
    assert loading.run().exit_code == 0

    ended = loading.command("prune")

    assert ended.returncode == 0, ended
    assert f"newer loads aren't built yet by {building.project.warehouse} (last built " in (
        ended.stdout
    )
    assert "delete _lakefeed_builds/" in ended.stdout
    assert loads(loading) == 2

    assert building.command("build").returncode == 0
    assert loading.command("prune").returncode == 0
    assert loads(loading) == 1
    assert building.query(STAGED) == [(1, "one"), (2, "two")]
    assert building.command("rebuild").returncode == 0
    assert building.query(STAGED) == [(1, "one"), (2, "two")]


def test_where_raw_can_not_be_written_a_build_is_published_with_a_warning(
    database: Database, loading: Lake, building: Lake
) -> None:
    records = loading.root / "data/raw/_lakefeed_builds"
    shutil.rmtree(records)
    records.write_text("a file in its place")
    database.execute("insert into t values (2, 'two')")
    loading.load()

    ended = building.command("build")

    assert ended.returncode == 0, ended
    assert "raw has no record of this build" in ended.stdout + ended.stderr
    assert building.query(STAGED) == [(1, "one"), (2, "two")]


@pytest.mark.at_night
def test_a_project_that_only_builds_knows_what_the_other_has_not_built(
    database: Database, loading: Lake, building: Lake
) -> None:
    database.execute("insert into t values (2, 'two')")
    assert loading.load().exit_code == 0
    assert building.command("build").returncode == 0

    ended = building.command("prune")

    assert f"newer loads aren't built yet by {loading.project.warehouse}" in ended.stdout
    assert loads(loading) == 2


def test_a_record_of_a_warehouse_that_is_gone_can_be_deleted(
    database: Database, loading: Lake, building: Lake
) -> None:
    database.execute("insert into t values (2, 'two')")
    assert loading.run().exit_code == 0
    told = loading.command("prune").stdout
    (record,) = {word for word in told.split() if word.startswith("_lakefeed_builds/")}

    (loading.root / "data/raw" / record).unlink()

    assert loading.command("prune").returncode == 0
    assert loads(loading) == 1
    assert loads(building) == 1


def test_a_table_that_only_the_other_declares_is_kept(loading: Lake, building: Lake) -> None:
    building.declare("t: {mode: full_refresh}")
    assert building.command("sync").returncode == 0

    ended = building.command("prune", "--undeclared", "--select", "shop.other")

    assert ended.returncode == 0, ended
    assert f"{loading.project.warehouse} (last built " in ended.stdout
    assert "has it; if that is gone, delete _lakefeed_builds/" in ended.stdout
    assert loading.files("shop__other")
    assert "not written by Lakefeed" not in ended.stdout


@pytest.mark.at_night
def test_an_erasure_names_the_other_warehouse_that_has_the_table(
    database: Database, loading: Lake, building: Lake
) -> None:
    database.execute("delete from other where id = 1")

    ended = loading.command("prune", "--erase", "shop.other", "1")

    assert ended.returncode == 0, ended
    assert f"MAY STILL HAVE THE ROW: {building.project.warehouse} (last built " in ended.stdout
    there = building.command("prune", "--erase", "shop.other", "1")
    assert there.returncode == 0, there
    assert building.query("select * from staging.stg_shop__other") == []
