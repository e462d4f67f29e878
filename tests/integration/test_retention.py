"""`retention`: what `lakefeed prune` forgets of old versions, and what stays as it was."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.loading.commits import CommitLog
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_database, new_lake
from tests.integration.test_staging import dbt

KINDS = """
incremental: {cursor: at, retention: 90d}
removed: {cursor: at, deletes: remove, retention: 90d}
marked: {cursor: at, deletes: mark, retention: 90d}
versions: {cursor: xmin, retention: 90d}
without_key: {mode: full_refresh, retention: 90d}
kept: {cursor: at, history: true, deletes: remove, retention: 90d}
whole: {mode: full_refresh, history: true, retention: 90d}
for_ever: {cursor: at}
"""
TABLES = [line.partition(":")[0] for line in KINDS.strip().splitlines()]
HISTORIES = ["kept", "whole"]


def staged(lake: Lake) -> dict[str, list[tuple[object, ...]]]:
    """All values of staging, but for the count of builds."""
    return {
        name: lake.query(
            f"select * exclude (_staged_batch) from staging.stg_shop__{name} order by all"
        )
        for name in TABLES
    }


def histories(lake: Lake) -> dict[str, list[tuple[object, ...]]]:
    """All values of history, but for the count of builds."""
    return {
        name: lake.query(
            f"select * exclude (_staged_batch) from history.hst_shop__{name} order by all"
        )
        for name in HISTORIES
    }


def words(lake: Lake, table: str, key: int) -> list[object]:
    """What a row of history said, from version to version."""
    rows = lake.query(
        f"select word from history.hst_shop__{table} where id = {key} order by valid_from"
    )
    return [row[0] for row in rows]


def change(database: Database, word: str) -> None:
    """Row 2 of each table changes, one comes, and one goes."""
    for name in TABLES:
        database.execute(
            f"update {name} set word = '{word}', at = clock_timestamp() where id = 2",
            f"delete from {name} where id = (select min(id) from {name} where id > 2)",
            f"insert into {name} select max(id) + 1, '{word}' from {name}",
        )


def age(lake: Lake, table: str, *, days: int) -> None:
    """Has the loads that raw holds of a table be so much older."""
    log = CommitLog(lake.project.raw_url, f"shop__{table}")
    for load in log.loads():
        at = dt.datetime.fromisoformat(load.snapshot_at) - dt.timedelta(days=days)
        log.redescribe(replace(load, snapshot_at=at.isoformat()))


@pytest.fixture(scope="module")
def shop(server_url: str) -> Database:
    """The source of the lake that the tests of this module share."""
    return new_database(server_url)


@pytest.fixture(scope="module")
def shared(shop: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Three loads of long ago, two of some weeks ago, all staged."""
    lake = new_lake(tmp_path_factory.mktemp("shared"))
    for name in TABLES:
        key = "" if name == "without_key" else "primary key"
        shop.execute(
            f"create table {name} "
            f"(id int {key}, word text, at timestamptz default clock_timestamp())",
            f"insert into {name} select i, 'first' from generate_series(1, 20) i",
        )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, shop.url)
        lake.declare(KINDS).load()
        for word in ("second", "third"):
            change(shop, word)
            assert lake.load(allow_shrink=True).exit_code == 0
        for name in TABLES:
            age(lake, name, days=200)
        for word in ("fourth", "fifth"):
            change(shop, word)
            assert lake.load(allow_shrink=True).exit_code == 0
        for name in TABLES:
            age(lake, name, days=20)
        assert lake.run().exit_code == 0
    return lake


@pytest.fixture
def old(shop: Database, shared: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A copy of it, for one test."""
    monkeypatch.setenv(CONNECTION_VARIABLE, shop.url)
    shutil.copytree(shared.root, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Lake(tmp_path)


def days_ago(days: float) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(days=days)).isoformat()


def as_of(lake: Lake, moment: str) -> dict[str, list[tuple[object, ...]]]:
    """Staging as it stood."""
    output = lake.root / f"{moment.replace(':', '')}.duckdb"
    ended = lake.command("rebuild", "--as-of", moment, "--output", str(output))
    assert ended.returncode == 0, ended
    stood = Lake(lake.root)
    shutil.copy(output, lake.project.warehouse)
    return staged(stood)


def test_staging_says_the_same_without_old_versions_and_whatever_follows(
    shop: Database, old: Lake
) -> None:
    before = staged(old)
    rows = {name: len(old.raw(f"shop__{name}")) for name in TABLES}

    pruned = old.command("prune")

    assert pruned.returncode == 0, pruned
    left = {name: len(old.raw(f"shop__{name}")) for name in TABLES}
    # Of row 2 two versions, and of each that went the one before.
    gone = {name: rows[name] - left[name] for name in TABLES}
    assert (gone["incremental"], gone["removed"], gone["marked"]) == (2, 4, 4)
    assert (gone["for_ever"], gone["without_key"]) == (0, 40)
    assert staged(old) == before
    assert old.run().build is None
    assert dbt(old, "build", "--full-refresh").returncode == 0
    assert staged(old) == before
    shutil.rmtree(old.root / "data/.dlt")
    assert {table.status for table in old.run().tables} <= {"unchanged", "loaded"}
    assert "nothing to remove" in old.command("prune").stdout
    change(shop, "sixth")
    assert old.run(allow_shrink=True).exit_code == 0
    after = staged(old)
    assert [row[1] for row in after["removed"] if row[0] == 2] == ["sixth"]
    assert old.command("rebuild").returncode == 0
    assert staged(old) == after


@pytest.mark.faults
def test_raw_still_tells_how_a_table_stood_since_and_refuses_to_tell_of_before(old: Lake) -> None:
    moments = [days_ago(60), days_ago(10)]
    second = CommitLog(old.project.raw_url, "shop__kept").loads()[1].load_id
    before = [as_of(old, moment) for moment in moments]

    assert old.command("prune").returncode == 0

    assert [as_of(old, moment) for moment in moments] == before
    refused = old.command("rebuild", "--as-of", second)
    assert refused.returncode != 0
    assert "was pruned" in refused.stderr


def test_history_forgets_versions_that_ended_before_and_no_others(old: Lake) -> None:
    assert words(old, "kept", 2) == ["first", "second", "third", "fourth", "fifth"]
    before = histories(old)

    assert old.command("prune").returncode == 0

    pruned = histories(old)
    for name in HISTORIES:
        assert words(old, name, 2) == ["third", "fourth", "fifth"]
        # Row 3 went with the second load, row 5 with the fourth.
        assert words(old, name, 3) == []
        assert words(old, name, 5) == ["first"]
        assert {row[:2] for row in pruned[name]} < {row[:2] for row in before[name]}
    assert old.query(
        "select valid_from from history.hst_shop__kept where id = 2 and word = 'third'"
    ) == old.query("select timestamptz '1900-01-01 00:00:00+00'")
    later = "where valid_from > (select max(valid_from) from h where word = 'third')"
    told = (
        f"with h as (from history.hst_shop__kept) select * exclude (_staged_batch) from h {later}"
    )
    versions = old.query(f"{told} order by all")
    assert set(versions) <= set(before["kept"])
    assert old.command("rebuild").returncode == 0
    assert histories(old) == pruned
    assert old.query(f"{told} order by all") == versions


def test_a_row_that_was_deleted_long_ago_stays_deleted(shop: Database, old: Lake) -> None:
    assert old.command("prune").returncode == 0
    shutil.rmtree(old.root / "data/.dlt")

    assert old.run(allow_shrink=True).exit_code == 0

    assert old.query("select * from staging.stg_shop__removed where id = 3") == []
    marked = old.query("select _deleted_at is not null from staging.stg_shop__marked where id = 3")
    assert marked == [(True,)]
    log = CommitLog(old.project.raw_url, "shop__marked")
    # Four that went before, and one that another test's change of the shared source may have.
    assert sum(load.deleted for load in log.loads()) in (4, 5)


def test_a_dry_run_counts_versions_and_changes_nothing(old: Lake) -> None:
    before = {path: path.read_bytes() for path in (old.root / "data/raw").rglob("*.*")}

    planned = old.command("prune", "--dry-run", **{CONNECTION_VARIABLE: ""})

    assert planned.returncode == 0, planned
    assert "2 versions past the retention" in planned.stdout
    assert {path: path.read_bytes() for path in (old.root / "data/raw").rglob("*.*")} == before
