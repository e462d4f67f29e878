"""`lakefeed prune` removes data no longer needed; staging is the same before and after."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake_at
from tests.integration.test_staging import Query, dbt, values

pytestmark = [pytest.mark.builds, pytest.mark.on_ducklake(at_night=True)]

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


def staged(lake: Lake, query: Query | None = None) -> dict[str, list[tuple[object, ...]]]:
    """All values in staging and history, except batch numbers."""
    relations = {name: f"staging.stg_shop__{name}" for name in TABLES}
    return values(query or lake.query, {**relations, "history": "history.hst_shop__kept"})


def loads(lake: Lake, table: str) -> int:
    return len(CommitLog(lake.project.raw, f"shop__{table}").loads())


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
def shared(engine: str, source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Tables of every kind with loads of every kind, a full refresh among them, all staged."""
    lake = new_lake_at("disk", tmp_path_factory.mktemp("shared"), engine)
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
        change(source, "second")
        lake.load()
        source.execute(
            "alter table retyped alter word type varchar(40), add extra numeric(8, 2) default 1.5"
        )
        change(source, "third")
        lake.load(full_refresh=True, allow_shrink=True)
        source.execute("alter table retyped alter extra type numeric(12, 4)")
        change(source, "fourth")
        assert lake.load().exit_code == 0
        assert lake.load(since="2020-01-01", until="2030-01-01").exit_code == 0
        assert lake.run().exit_code == 0
    return lake


def test_staging_is_the_same_after_a_prune_and_later_runs(source: Database, copied: Lake) -> None:
    before, ran = staged(copied), loads(copied, "kept")

    pruned = copied.command("prune")

    assert pruned.returncode == 0, pruned
    assert "superseded loads kept: history: true" in pruned.stdout
    assert loads(copied, "kept") == ran > loads(copied, "incremental")
    assert copied.run().build is None
    assert staged(copied) == before
    assert dbt(copied, "build", "--full-refresh").returncode == 0
    assert staged(copied, copied.built) == before
    shutil.rmtree(copied.root / "data/.dlt")
    assert {table.status for table in copied.run().tables} == {"unchanged"}
    change(source, "fifth")
    assert copied.run().exit_code == 0
    after = staged(copied)
    assert [row[:2] for row in after["incremental"] if row[1] == "fifth"] == [
        (2, "fifth"),
        (24, "fifth"),
    ]
    assert copied.command("rebuild").returncode == 0
    assert staged(copied) == after


def test_a_dry_run_shows_what_would_be_removed_and_removes_nothing(copied: Lake) -> None:
    before = files_below(copied.root / "data/raw")

    planned = copied.command("prune", "--dry-run", "--json", **{CONNECTION_VARIABLE: ""})
    kept = files_below(copied.root / "data/raw")
    done = copied.command("prune", "--json")

    assert planned.returncode == done.returncode == 0, (planned, done)
    would, did = json.loads(planned.stdout), json.loads(done.stdout)
    assert kept == before
    assert (would.pop("done"), did.pop("done")) == (False, True)
    assert would == did
    gone = before.keys() - files_below(copied.root / "data/raw").keys()
    assert len(gone) == sum(table["files"] for table in did["tables"])
    assert sum(len(before[path]) for path in gone) == sum(table["size"] for table in did["tables"])
    assert [table["name"].removeprefix("shop.") for table in did["tables"] if table["loads"]] == (
        SUPERSEDED
    )


def test_pruned_data_cannot_be_rebuilt_as_of_an_earlier_time(copied: Lake) -> None:
    (first, last) = copied.query(
        "select min(snapshot_at), max(snapshot_at) from _lakefeed.staged_loads"
    )[0]
    assert copied.command("prune").returncode == 0

    then = copied.command("rebuild", "--as-of", str(first))
    since = copied.command("rebuild", "--as-of", str(last), "--output", "then.duckdb")

    assert then.returncode == 2
    assert "as of then has been pruned" in then.stderr
    assert since.returncode == 0, since


def test_a_table_that_is_being_loaded_is_skipped_and_the_others_pruned(copied: Lake) -> None:
    from filelock import FileLock

    with FileLock(copied.root / "data/locks/shop__whole.lock"):
        ended = copied.command("prune")

    assert ended.returncode == 1
    assert "shop.whole is already being loaded by another run" in ended.stdout
    assert (loads(copied, "whole") > 1, loads(copied, "without_key")) == (True, 1)


def test_superseded_loads_that_a_hand_written_model_may_read_are_kept(copied: Lake) -> None:
    (copied.root / "dbt/models/marts/all_words.sql").write_text(
        "{{ config(materialized='table') }} -- {{ source('shop', 'whole') }}\nselect 1 as n"
    )
    assert copied.command("build").returncode == 0

    ended = copied.command("prune", "--select", "shop.whole")

    assert "superseded loads kept: read by the hand-written all_words" in ended.stdout
    assert loads(copied, "whole") > 1


def test_superseded_loads_are_kept_until_newer_ones_are_built(copied: Lake) -> None:
    copied.load("shop.versions", full_refresh=True)
    before = loads(copied, "versions")

    ended = copied.command("prune", "--select", "shop.versions")
    kept = loads(copied, "versions")
    assert copied.command("build").returncode == 0
    assert copied.command("prune", "--select", "shop.versions").returncode == 0

    assert "superseded loads kept: newer loads aren't built yet" in ended.stdout
    assert (kept, loads(copied, "versions")) == (before, 1)


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


def test_orphaned_tables_are_removed_on_request(copied: Lake) -> None:
    foreign = copied.root / "data/raw/of_somebody/else.parquet"
    foreign.parent.mkdir()
    foreign.write_text("not ours")
    still = [line for line in KINDS.strip().splitlines() if not line.startswith("whole")]
    copied.declare("\n".join(still).replace(", history: true", ""))
    assert "lakefeed sync" in copied.command("prune").stderr
    assert copied.command("sync").returncode == 0
    # The source is shared, and may have changed since.
    assert copied.run().exit_code == 0

    told = copied.command("prune").stdout
    assert "shop.whole" in told and "to remove data of undeclared tables" in told
    assert all(left_of(copied, "whole"))
    ended = copied.command("prune", "--undeclared")

    assert ended.returncode == 0, ended
    assert "of_somebody                  kept: not written by Lakefeed" in ended.stdout
    assert foreign.exists()
    assert left_of(copied, "whole") == (False, False, [])
    assert ("hst_shop__kept",) not in left_of(copied, "kept")[2]
    assert copied.run().build is None
    assert "nothing to remove" in copied.command("prune", "--undeclared").stdout


def test_a_table_that_a_wildcard_may_match_is_removed_only_by_name(copied: Lake) -> None:
    copied.declare('"w*": {mode: full_refresh}\nincremental: {cursor: at}')
    assert copied.command("sync").returncode == 0

    ended = copied.command("prune", "--undeclared")
    assert "a wildcard of `shop` may still declare this table" in ended.stdout
    assert all(left_of(copied, "marked"))
    named = copied.command("prune", "--undeclared", "--select", "shop.marked")

    assert named.returncode == 0, named
    assert left_of(copied, "marked") == (False, False, [])
    assert all(left_of(copied, "removed"))
