"""`retention`: which old versions `lakefeed prune` removes, and what stays unchanged."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import replace

import duckdb
import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake_at
from tests.integration.test_staging import Query, dbt, values

pytestmark = [pytest.mark.builds, pytest.mark.on_ducklake(at_night=True)]

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


def staged(query: Query) -> dict[str, list[tuple[object, ...]]]:
    """All values of staging."""
    return values(query, {name: f"staging.stg_shop__{name}" for name in TABLES})


def histories(lake: Lake) -> dict[str, list[tuple[object, ...]]]:
    """All values of history."""
    return values(lake.query, {name: f"history.hst_shop__{name}" for name in HISTORIES})


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
    log = CommitLog(lake.project.raw, f"shop__{table}")
    for load in log.loads():
        at = dt.datetime.fromisoformat(load.snapshot_at) - dt.timedelta(days=days)
        log.redescribe(replace(load, snapshot_at=at.isoformat()))


@pytest.fixture(scope="module")
def shared(
    place: str, engine: str, source: Database, tmp_path_factory: pytest.TempPathFactory
) -> Lake:
    """Three loads of long ago, two of some weeks ago, all staged."""
    lake = new_lake_at(place, tmp_path_factory.mktemp("shared"), engine)
    for name in TABLES:
        key = "" if name == "without_key" else "primary key"
        source.execute(
            f"create table {name} "
            f"(id int {key}, word text, at timestamptz default clock_timestamp())",
            f"insert into {name} select i, 'first' from generate_series(1, 20) i",
        )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        lake.declare(KINDS).load()
        for word in ("second", "third"):
            change(source, word)
            assert lake.load(allow_shrink=True).exit_code == 0
        for name in TABLES:
            age(lake, name, days=200)
        for word in ("fourth", "fifth"):
            change(source, word)
            assert lake.load(allow_shrink=True).exit_code == 0
        for name in TABLES:
            age(lake, name, days=20)
        assert lake.run().exit_code == 0
    return lake


def days_ago(days: float) -> str:
    return (dt.datetime.now(dt.UTC) - dt.timedelta(days=days)).isoformat()


def as_of(lake: Lake, moment: str) -> dict[str, list[tuple[object, ...]]]:
    """Staging as it stood."""
    output = lake.root / f"{moment.replace(':', '')}.duckdb"
    ended = lake.command("rebuild", "--as-of", moment, "--output", str(output))
    assert ended.returncode == 0, ended
    with duckdb.connect(str(output), read_only=True) as session:
        return staged(lambda sql: session.execute(sql).fetchall())


@pytest.mark.on_store
def test_staging_is_the_same_without_old_versions_and_after_later_runs(
    source: Database, copied: Lake
) -> None:
    before = staged(copied.query)
    rows = {name: len(copied.raw(f"shop__{name}")) for name in TABLES}

    pruned = copied.command("prune")

    assert pruned.returncode == 0, pruned
    left = {name: len(copied.raw(f"shop__{name}")) for name in TABLES}
    # Of row 2 two versions, and of each that went the one before.
    gone = {name: rows[name] - left[name] for name in TABLES}
    assert (gone["incremental"], gone["removed"], gone["marked"]) == (2, 4, 4)
    assert (gone["for_ever"], gone["without_key"]) == (0, 40)
    assert staged(copied.query) == before
    assert copied.run().build is None
    assert dbt(copied, "build", "--full-refresh").returncode == 0
    assert staged(copied.built) == before
    shutil.rmtree(copied.root / "data/.dlt")
    assert {table.status for table in copied.run().tables} <= {"unchanged", "loaded"}
    assert "nothing to remove" in copied.command("prune").stdout
    change(source, "sixth")
    assert copied.run(allow_shrink=True).exit_code == 0
    after = staged(copied.query)
    assert [row[1] for row in after["removed"] if row[0] == 2] == ["sixth"]
    assert copied.command("rebuild").returncode == 0
    assert staged(copied.query) == after


@pytest.mark.faults
def test_raw_answers_as_of_times_within_the_retention_and_refuses_earlier_ones(
    copied: Lake,
) -> None:
    moments = [days_ago(60), days_ago(10)]
    second = CommitLog(copied.project.raw, "shop__kept").loads()[1].load_id
    before = [as_of(copied, moment) for moment in moments]

    assert copied.command("prune").returncode == 0

    assert [as_of(copied, moment) for moment in moments] == before
    refused = copied.command("rebuild", "--as-of", second)
    assert refused.returncode != 0
    assert "has been pruned" in refused.stderr


@pytest.mark.at_night
def test_history_loses_only_versions_that_ended_before_the_retention(copied: Lake) -> None:
    assert words(copied, "kept", 2) == ["first", "second", "third", "fourth", "fifth"]
    before = histories(copied)

    assert copied.command("prune").returncode == 0

    pruned = histories(copied)
    for name in HISTORIES:
        assert words(copied, name, 2) == ["third", "fourth", "fifth"]
        # Row 3 went with the second load, row 5 with the fourth.
        assert words(copied, name, 3) == []
        assert words(copied, name, 5) == ["first"]
        assert {row[:2] for row in pruned[name]} < {row[:2] for row in before[name]}
    assert copied.query(
        "select valid_from from history.hst_shop__kept where id = 2 and word = 'third'"
    ) == copied.query("select timestamptz '1900-01-01 00:00:00+00'")
    later = "where valid_from > (select max(valid_from) from h where word = 'third')"
    told = (
        f"with h as (from history.hst_shop__kept) select * exclude (_staged_batch) from h {later}"
    )
    versions = copied.query(f"{told} order by all")
    assert set(versions) <= set(before["kept"])
    assert copied.command("rebuild").returncode == 0
    assert histories(copied) == pruned
    assert copied.query(f"{told} order by all") == versions


def test_a_row_that_was_deleted_long_ago_stays_deleted(source: Database, copied: Lake) -> None:
    assert copied.command("prune").returncode == 0
    shutil.rmtree(copied.root / "data/.dlt")

    assert copied.run(allow_shrink=True).exit_code == 0

    assert copied.query("select * from staging.stg_shop__removed where id = 3") == []
    marked = copied.query(
        "select _deleted_at is not null from staging.stg_shop__marked where id = 3"
    )
    assert marked == [(True,)]
    log = CommitLog(copied.project.raw, "shop__marked")
    # Four that went before, and one that another test's change of the shared source may have.
    assert sum(load.deleted for load in log.loads()) in (4, 5)


def test_a_dry_run_counts_versions_and_changes_nothing(copied: Lake) -> None:
    before = {path: path.read_bytes() for path in (copied.root / "data/raw").rglob("*.*")}

    planned = copied.command("prune", "--dry-run", **{CONNECTION_VARIABLE: ""})

    assert planned.returncode == 0, planned
    assert "2 versions past retention" in planned.stdout
    assert {path: path.read_bytes() for path in (copied.root / "data/raw").rglob("*.*")} == before
