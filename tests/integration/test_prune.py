"""`lakefeed prune`: what nothing needs goes, and staging says the same before and after."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipelines.loading.commits import CommitLog
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_database, new_lake
from tests.integration.test_staging import dbt

KINDS = """
incremental: {cursor: at}
whole: {mode: full_refresh}
without_key: {mode: full_refresh}
removed: {cursor: at, deletes: remove}
marked: {cursor: at, deletes: mark}
versions: {cursor: xmin}
kept: {cursor: at, history: true, deletes: remove}
retyped: {cursor: at}
"""
TABLES = [line.partition(":")[0] for line in KINDS.strip().splitlines()]
SUPERSEDED = [name for name in TABLES if name != "kept"]


def staged(lake: Lake) -> dict[str, list[tuple[object, ...]]]:
    """All values of staging and history, but for the count of builds."""
    told = {
        name: lake.query(
            f"select * exclude (_staged_batch) from staging.stg_shop__{name} order by all"
        )
        for name in TABLES
    }
    history = "select * exclude (_staged_batch) from history.hst_shop__kept order by all"
    return {**told, "history": lake.query(history)}


def loads(lake: Lake, table: str) -> int:
    return len(CommitLog(lake.project.raw_url, f"shop__{table}").loads())


def files_below(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def change(database: Database, word: str) -> None:
    """A row of each table changes, one comes, and one goes."""
    for name in TABLES:
        database.execute(
            f"update {name} set word = '{word}', at = clock_timestamp() where id = 2",
            f"delete from {name} where id = (select min(id) from {name} where id > 2)",
            f"insert into {name} select max(id) + 1, '{word}' from {name}",
        )


@pytest.fixture(scope="module")
def shop(server_url: str) -> Database:
    """The source of the lake that the tests of this module share."""
    return new_database(server_url)


@pytest.fixture(scope="module")
def shared(shop: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Tables of every kind with loads of every kind, a full refresh among them, all staged."""
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
        change(shop, "second")
        lake.load()
        shop.execute(
            "alter table retyped alter word type varchar(40), add extra numeric(8, 2) default 1.5"
        )
        change(shop, "third")
        lake.load(full_refresh=True, allow_shrink=True)
        shop.execute("alter table retyped alter extra type numeric(12, 4)")
        change(shop, "fourth")
        assert lake.load().exit_code == 0
        assert lake.load(since="2020-01-01", until="2030-01-01").exit_code == 0
        assert lake.run().exit_code == 0
    return lake


@pytest.fixture
def grown(shop: Database, shared: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A copy of it, for one test."""
    monkeypatch.setenv(CONNECTION_VARIABLE, shop.url)
    shutil.copytree(shared.root, tmp_path, symlinks=True, dirs_exist_ok=True)
    return Lake(tmp_path)


def test_staging_says_the_same_after_a_prune_and_whatever_follows(
    shop: Database, grown: Lake
) -> None:
    before, ran = staged(grown), loads(grown, "kept")

    pruned = grown.command("prune")

    assert pruned.returncode == 0, pruned
    assert "superseded loads stay: history: true" in pruned.stdout
    assert loads(grown, "kept") == ran > loads(grown, "incremental")
    assert grown.run().build is None
    assert staged(grown) == before
    assert dbt(grown, "build", "--full-refresh").returncode == 0
    assert staged(grown) == before
    shutil.rmtree(grown.root / "data/.dlt")
    assert {table.status for table in grown.run().tables} == {"unchanged"}
    change(shop, "fifth")
    assert grown.run().exit_code == 0
    after = staged(grown)
    assert [row[:2] for row in after["incremental"] if row[1] == "fifth"] == [
        (2, "fifth"),
        (24, "fifth"),
    ]
    assert grown.command("rebuild").returncode == 0
    assert staged(grown) == after


def test_a_dry_run_shows_what_would_go_and_removes_nothing(grown: Lake) -> None:
    before = files_below(grown.root / "data/raw")

    planned = grown.command("prune", "--dry-run", "--json", **{CONNECTION_VARIABLE: ""})
    kept = files_below(grown.root / "data/raw")
    done = grown.command("prune", "--json")

    assert planned.returncode == done.returncode == 0, (planned, done)
    would, did = json.loads(planned.stdout), json.loads(done.stdout)
    assert kept == before
    assert (would.pop("done"), did.pop("done")) == (False, True)
    assert would == did
    gone = before.keys() - files_below(grown.root / "data/raw").keys()
    assert len(gone) == sum(table["files"] for table in did["tables"])
    assert sum(len(before[path]) for path in gone) == sum(table["size"] for table in did["tables"])
    assert [table["name"].removeprefix("shop.") for table in did["tables"] if table["loads"]] == (
        SUPERSEDED
    )


def test_what_was_pruned_can_not_be_asked_for_as_it_stood(grown: Lake) -> None:
    (first, last) = grown.query(
        "select min(snapshot_at), max(snapshot_at) from _lakefeed.staged_loads"
    )[0]
    assert grown.command("prune").returncode == 0

    then = grown.command("rebuild", "--as-of", str(first))
    since = grown.command("rebuild", "--as-of", str(last), "--output", "then.duckdb")

    assert then.returncode == 2
    assert "then was pruned" in then.stderr
    assert since.returncode == 0, since


def test_a_table_that_is_being_loaded_is_left_and_the_others_go_on(grown: Lake) -> None:
    from filelock import FileLock

    with FileLock(grown.root / "data/locks/shop__whole.lock"):
        ended = grown.command("prune")

    assert ended.returncode == 1
    assert "shop.whole is being loaded by another run" in ended.stdout
    assert (loads(grown, "whole") > 1, loads(grown, "without_key")) == (True, 1)


def test_a_model_written_by_hand_keeps_what_it_may_read(grown: Lake) -> None:
    (grown.root / "dbt/models/marts/all_words.sql").write_text(
        "{{ config(materialized='table') }} -- {{ source('shop', 'whole') }}\nselect 1 as n"
    )
    assert grown.command("build").returncode == 0

    ended = grown.command("prune", "--select", "shop.whole")

    assert "superseded loads stay: read by hand in all_words" in ended.stdout
    assert loads(grown, "whole") > 1


def test_what_is_superseded_stays_until_what_is_newer_is_built(grown: Lake) -> None:
    grown.load("shop.versions", full_refresh=True)
    before = loads(grown, "versions")

    ended = grown.command("prune", "--select", "shop.versions")
    kept = loads(grown, "versions")
    assert grown.command("build").returncode == 0
    assert grown.command("prune", "--select", "shop.versions").returncode == 0

    assert "superseded loads stay: what is newer isn't built yet" in ended.stdout
    assert (kept, loads(grown, "versions")) == (before, 1)


def left_of(lake: Lake, table: str) -> tuple[bool, bool, list[tuple[object, ...]]]:
    """Whether raw and dlt have a folder of a table, and what the warehouse has of it."""
    name = f"shop__{table}"
    relations = lake.query(
        "select table_name from information_schema.tables where table_schema in"
        f" ('staging', 'history') and table_name like '%{name}%' union all"
        f" select model from _lakefeed.staged_loads where model like '%{name}%'"
        f" union all select lake_name from _lakefeed.tables where lake_name = '{name}'"
    )
    folders = (lake.root / "data/raw" / name, lake.root / "data/.dlt/pipelines" / name)
    return folders[0].exists(), folders[1].exists(), relations


def test_what_is_declared_no_longer_goes_when_it_is_asked_for(grown: Lake) -> None:
    foreign = grown.root / "data/raw/of_somebody/else.parquet"
    foreign.parent.mkdir()
    foreign.write_text("not ours")
    still = [line for line in KINDS.strip().splitlines() if not line.startswith("whole")]
    grown.declare("\n".join(still).replace(", history: true", ""))
    assert "lakefeed sync" in grown.command("prune").stderr
    assert grown.command("sync").returncode == 0
    # The source is shared, and may have changed since.
    assert grown.run().exit_code == 0

    told = grown.command("prune").stdout
    assert "shop.whole" in told and "to remove what nothing declares" in told
    assert all(left_of(grown, "whole"))
    ended = grown.command("prune", "--undeclared")

    assert ended.returncode == 0, ended
    assert "of_somebody                  stays: this folder isn't Lakefeed's" in ended.stdout
    assert foreign.exists()
    assert left_of(grown, "whole") == (False, False, [])
    assert ("hst_shop__kept",) not in left_of(grown, "kept")[2]
    assert grown.run().build is None
    assert "nothing to remove" in grown.command("prune", "--undeclared").stdout


def test_a_table_that_a_wildcard_may_mean_goes_only_by_name(grown: Lake) -> None:
    grown.declare('"w*": {mode: full_refresh}\nincremental: {cursor: at}')
    assert grown.command("sync").returncode == 0

    ended = grown.command("prune", "--undeclared")
    assert "may be one of theirs that was not found" in ended.stdout
    assert all(left_of(grown, "marked"))
    named = grown.command("prune", "--undeclared", "--select", "shop.marked")

    assert named.returncode == 0, named
    assert left_of(grown, "marked") == (False, False, [])
    assert all(left_of(grown, "removed"))
