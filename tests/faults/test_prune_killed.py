"""`lakefeed prune` killed anywhere: staging doesn't change, and the next prune finishes."""

from __future__ import annotations

import shutil

import pytest

from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.inventory import Inventory
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake_at
from tests.faults.die_at import die
from tests.integration.test_erase import files_with

REMOVING = [
    ("lakefeed.loading.raw.commit_log:CommitLog.note_pruned", "before"),
    ("lakefeed.loading.raw.commit_log:CommitLog.note_pruned", "after"),
    *(("lakefeed.loading.maintenance.expire:remove_file", f"after {n}") for n in range(1, 5)),
]
DROPPING = [
    *(("lakefeed.loading.raw.table_folders:_remove", f"after {n}") for n in (1, 2, 3, 5, 8)),
    ("lakefeed.orchestration.maintenance.orphaned_tables:remove_raw_folder", "after"),
    ("lakefeed.orchestration.maintenance.orphaned_tables:remove_working_directory", "after"),
    ("lakefeed.transformation.warehouse.duckdb_file.warehouse_file:drop_relations", "after"),
    ("lakefeed.transformation.warehouse.duckdb_file.publication:keep", "after"),
    ("lakefeed.transformation.warehouse.duckdb_file.publication:put_in_place", "after"),
]
ERASING = [
    ("lakefeed.loading.maintenance.rewrite:put", "before"),
    *((f"lakefeed.loading.maintenance.rewrite:{name}", f"after {n}") for n in (1, 2, 3)
      for name in ("put", "remove_file", "CommitLog.redescribe")),
    ("lakefeed.orchestration.maintenance.erase:remove_working_directory", "before"),
    ("lakefeed.orchestration.maintenance.erase:build_from_scratch", "before"),
    ("lakefeed.orchestration.maintenance.erase:build_from_scratch", "after"),
    ("lakefeed.transformation.warehouse.duckdb_file.publication:forget", "after"),
]  # fmt: skip
CANARY = "Otto Canary 5512"
STAGED = 'select id, word, "at", _dlt_load_id from staging.stg_shop__{} order by id'
WORKING_DIRECTORIES = ["kept", pytest.param("lost", marks=pytest.mark.at_night)]


@pytest.fixture(scope="module")
def shared(place: str, source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Loads of two tables, with a full refresh and a later load."""
    lake = new_lake_at(place, tmp_path_factory.mktemp("shared"))
    for name in "tu":
        source.execute(
            f"create table {name} "
            "(id int primary key, word text, at timestamptz default clock_timestamp())",
            f"insert into {name} values (1, 'one'), (2, '{CANARY}')",
        )
    lake.declare("t: {cursor: at}\nu: {cursor: at, deletes: remove}")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        lake.run()
        for options in ({"full_refresh": True}, {}):
            for name in "tu":
                source.execute(
                    f"update {name} set word = word || ' again', at = clock_timestamp()"
                    " where id = 2"
                )
            assert lake.run(**options).exit_code == 0
    return lake


def staged(lake: Lake, table: str) -> list[tuple[object, ...]]:
    return lake.query(STAGED.format(table))


def rebuilt(lake: Lake, table: str) -> list[tuple[object, ...]]:
    """Staging, rebuilt from raw."""
    ended = lake.command("rebuild")
    assert ended.returncode == 0, ended
    return staged(lake, table)


def unneeded(lake: Lake, table: str) -> set[str]:
    """Data files that no committed load names."""
    log = CommitLog(lake.project.raw, f"shop__{table}")
    return Inventory.of(log).data_files.keys() - {f for load in log.loads() for f in load.files}


@pytest.mark.on_store(one_by_day=True)
@pytest.mark.faults
@pytest.mark.parametrize("working_directory", WORKING_DIRECTORIES)
@pytest.mark.parametrize(("target", "moment"), REMOVING)
def test_a_killed_removal_does_not_change_staging_and_the_next_prune_finishes_it(
    copied: Lake, target: str, moment: str, working_directory: str
) -> None:
    before = staged(copied, "t")
    die(copied, target, moment, "prune", "--select", "shop.t")
    if working_directory == "lost":
        shutil.rmtree(copied.root / "data/.dlt")

    assert {table.status for table in copied.run("shop.t").tables} == {"unchanged"}
    assert rebuilt(copied, "t") == before
    assert copied.command("prune").returncode == 0

    log = CommitLog(copied.project.raw, "shop__t")
    assert [load.supersedes for load in log.loads()] == [True, False]
    assert unneeded(copied, "t") == set()
    assert "nothing to remove" in copied.command("prune").stdout
    assert {table.status for table in copied.load(full_refresh=True).tables} == {"loaded"}
    assert rebuilt(copied, "t")[0][:3] == before[0][:3]


@pytest.mark.on_store(at_night=True)
@pytest.mark.faults
@pytest.mark.parametrize(("target", "moment"), DROPPING)
def test_the_next_prune_finishes_removing_orphaned_data(
    copied: Lake, target: str, moment: str
) -> None:
    before = staged(copied, "t")
    copied.declare("t: {cursor: at}")
    assert copied.command("sync").returncode == 0

    die(copied, target, moment, "prune", "--undeclared", "--select", "shop.u")
    assert copied.command("prune", "--undeclared").returncode == 0

    assert "nothing to remove" in copied.command("prune", "--undeclared").stdout
    raw, root = open_raw(copied.project.raw)
    folders = [*(copied.root / "data").rglob("*shop__u*"), *raw.find(f"{root}/shop__u")]
    # A store may list a folder without files as itself.
    assert not [path for path in folders if "locks" not in str(path) and path != f"{root}/shop__u"]
    assert copied.query("select distinct model from _lakefeed.staged_loads") == [("stg_shop__t",)]
    assert copied.run().exit_code == 0
    assert staged(copied, "t") == before


@pytest.mark.on_store(at_night=True)
@pytest.mark.at_night
@pytest.mark.faults
@pytest.mark.parametrize(("target", "moment"), DROPPING[:7])
def test_a_half_removed_table_that_is_declared_again_is_loaded_again(
    copied: Lake, target: str, moment: str
) -> None:
    before = [row[:3] for row in staged(copied, "u")]
    copied.declare("t: {cursor: at}")
    assert copied.command("sync").returncode == 0
    die(copied, target, moment, "prune", "--undeclared", "--select", "shop.u")

    copied.declare("t: {cursor: at}\nu: {cursor: at, deletes: remove}")
    assert copied.command("sync").returncode == 0

    assert copied.run().exit_code == 0
    assert [row[:3] for row in rebuilt(copied, "u")] == before


@pytest.mark.on_store(one_by_day=True)
@pytest.mark.faults
@pytest.mark.parametrize(("target", "moment"), ERASING)
def test_a_killed_erasure_leaves_the_row_complete_or_erased_and_can_be_finished(
    copied: Lake, target: str, moment: str
) -> None:
    before = staged(copied, "u")
    die(copied, target, moment, "prune", "--erase", "shop.u", "2")

    left = rebuilt(copied, "u")
    assert left in (before, before[:1])
    for table in ("t", "u"):
        # The other table is untouched, and the row doesn't reappear.
        assert table == "u" or files_with(copied, CANARY)
    assert copied.command("prune", "--erase", "shop.u", "2").returncode == 0

    assert staged(copied, "u") == before[:1]
    assert unneeded(copied, "u") == set()
    assert not [path for path in files_with(copied, CANARY) if "shop__u" in str(path)]
    assert copied.command("prune", "--erase", "shop.t", "2").returncode == 0
    assert files_with(copied, CANARY) == []


@pytest.mark.on_store(at_night=True)
@pytest.mark.faults
@pytest.mark.parametrize("working_directory", WORKING_DIRECTORIES)
@pytest.mark.parametrize(
    ("target", "moment"),
    [
        ("dlt:Pipeline.extract", "after"),
        ("dlt.destinations.impl.filesystem.filesystem:FilesystemLoadJob.run", "after"),
        ("dlt.destinations.impl.filesystem.filesystem:FilesystemClient._store_load", "before"),
    ],
)
def test_files_of_an_interrupted_load_are_erased_too(
    source: Database, copied: Lake, target: str, moment: str, working_directory: str
) -> None:
    source.execute(
        f"update u set word = '{CANARY} uncommitted', at = clock_timestamp() where id = 2"
    )
    die(copied, target, moment)
    if working_directory == "kept":
        ended = copied.command("prune", "--erase", "shop.u", "2")
        assert ended.returncode == 1
        assert (
            "an interrupted load of shop.u may contain the row; nothing was erased" in ended.stderr
        )
        assert copied.load().exit_code == 0
    else:
        shutil.rmtree(copied.root / "data/.dlt")
    for table in "tu":
        assert copied.command("prune", "--erase", f"shop.{table}", "2").returncode == 0

    assert files_with(copied, CANARY) == []
