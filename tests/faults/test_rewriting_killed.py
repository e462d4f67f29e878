"""`lakefeed prune` killed while it rewrites files: each row counts once, and the next finishes."""

from __future__ import annotations

import shutil

import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, copy_of, new_lake_at
from tests.faults.die_at import die
from tests.faults.test_prune_killed import unneeded
from tests.integration.test_retention import age

MOMENTS = [
    ("lakefeed.loading.raw.commit_log:CommitLog.note_pruned", "after"),
    ("lakefeed.loading.maintenance.rewrite:put", "before"),
    ("lakefeed.loading.maintenance.rewrite:put", "after"),
    *(
        ("lakefeed.loading.maintenance.rewrite:CommitLog.redescribe", f"after {n}")
        for n in (1, 2, 6)
    ),
    ("lakefeed.loading.maintenance.rewrite:remove_file", "after 1"),
    ("lakefeed.loading.maintenance.rewrite:remove_file", "after 5"),
    ("lakefeed.loading.maintenance.prune:CommitLog.bring_up_pack", "before"),
    ("lakefeed.orchestration.maintenance.prune:prune_raw", "after"),
    ("lakefeed.orchestration.maintenance.prune:build_and_publish", "before"),
    ("lakefeed.orchestration.maintenance.prune:build_and_publish", "after"),
]
DECLARED = "t: {cursor: at, deletes: remove, history: true, retention: 90d}"
WORKING_DIRECTORIES = ["kept", pytest.param("lost", marks=pytest.mark.at_night)]


@pytest.fixture(scope="module")
def shared(place: str, source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Ten loads of a table, six from long ago; each with an update, an insert and a delete."""
    lake = new_lake_at(place, tmp_path_factory.mktemp("shared"))
    source.execute(
        "create table t (id int primary key, word text, at timestamptz default clock_timestamp())",
        "insert into t select i, 'first' from generate_series(1, 9) i",
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        lake.declare(DECLARED).load()
        for number in range(9):
            source.execute(
                f"update t set word = 'word {number}', at = clock_timestamp() where id = 1",
                f"insert into t (id, word) values ({number + 10}, 'new')",
                f"delete from t where id = {number + 2}",
            )
            assert lake.load(allow_shrink=True).exit_code == 0
            if number == 4:
                age(lake, "t", days=100)
        assert lake.run().exit_code == 0
    return lake


def staged(lake: Lake) -> list[tuple[object, ...]]:
    return lake.query("select * exclude (_staged_batch) from staging.stg_shop__t order by all")


def history(lake: Lake) -> list[tuple[object, ...]]:
    return lake.query("select * exclude (_staged_batch) from history.hst_shop__t order by all")


@pytest.fixture(scope="module")
def pruned(
    source: Database, shared: Lake, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """The rows of raw and history after an uninterrupted prune."""
    lake = copy_of(shared, tmp_path_factory.mktemp("pruned"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        ended = lake.command("prune")
    assert "versions past retention; " in ended.stdout, ended
    assert "small files compacted into 1" in ended.stdout, ended
    return lake.raw("shop__t"), history(lake)


@pytest.mark.on_store(at_night=True)
@pytest.mark.at_night
@pytest.mark.faults
@pytest.mark.parametrize("working_directory", WORKING_DIRECTORIES)
@pytest.mark.parametrize(("target", "moment"), MOMENTS)
def test_a_killed_prune_leaves_each_row_once_and_the_next_prune_finishes(
    copied: Lake,
    pruned: tuple[list[tuple[object, ...]], list[tuple[object, ...]]],
    target: str,
    moment: str,
    working_directory: str,
) -> None:
    before, rows = staged(copied), copied.raw("shop__t")

    die(copied, target, moment, "prune")
    if working_directory == "lost":
        shutil.rmtree(copied.root / "data/.dlt")

    left = copied.raw("shop__t")
    assert len(left) == len(set(left))
    assert set(pruned[0]) <= set(left) <= set(rows)
    assert {table.status for table in copied.run().tables} == {"unchanged"}
    assert copied.command("rebuild").returncode == 0
    assert staged(copied) == before
    assert copied.command("prune").returncode == 0
    assert copied.raw("shop__t") == pruned[0]
    assert (staged(copied), history(copied)) == (before, pruned[1])
    assert unneeded(copied, "t") == set()
    assert list((copied.root / "data/raw").rglob("*.part")) == []
    assert "nothing to remove" in copied.command("prune").stdout
    log = CommitLog(copied.project.raw, "shop__t")
    counted = {load.load_id: load.rows + load.deleted for load in log.loads()}
    held = copied.raw("shop__t", "_dlt_load_id")
    assert counted == {load_id: held.count((load_id,)) for load_id in counted}
