"""A warehouse that can't be read: errors say how to recover, and recovery needn't read it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lakefeed.errors import StorageFailed, WarehouseDamaged
from lakefeed.orchestration.build.build import build_all
from lakefeed.orchestration.build.rebuild import rebuild
from lakefeed.orchestration.build.rollback import resume, roll_back
from lakefeed.transformation.warehouse.duckdb_file.publication import kept_versions
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake
from tests.unit.transformation.test_open_file import damage_log, flip

ROWS = "select id, word from staging.stg_shop__a order by id"


@pytest.fixture(scope="module")
def shared(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A warehouse of which one earlier version is kept."""
    source.execute(
        "create table a (id int primary key, word text, at timestamptz default now())",
        "insert into a values (1, 'one')",
    )
    lake = new_lake(tmp_path_factory.mktemp("shared")).declare("a: {cursor: at}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION_VARIABLE, source.url)
        lake.run()
        source.execute("update a set word = 'uno', at = clock_timestamp()")
        assert lake.run().published_at
    return lake


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 3])


DAMAGE = [damage_log, empty, cut, lambda file: flip(file, 100)]


@pytest.mark.parametrize("damage", DAMAGE)
def test_rollback_replaces_a_damaged_file_without_reading_it(
    copied: Lake, damage: Callable[[Path], None]
) -> None:
    file = copied.project.warehouse
    damage(file)
    broken = file.read_bytes()
    with pytest.raises(WarehouseDamaged):
        copied.query(ROWS)

    rollback = roll_back(copied.project)

    assert copied.query(ROWS) == [(1, "one")]
    assert rollback.undone is None
    assert rollback.set_aside == f"{file}.damaged"
    assert Path(rollback.set_aside).read_bytes() == broken
    assert not file.with_name("warehouse.duckdb.wal").exists()
    assert (damage is damage_log) == Path(f"{rollback.set_aside}.wal").exists()


def test_rollback_skips_damaged_versions(source: Database, copied: Lake) -> None:
    source.execute("update a set at = clock_timestamp()")
    copied.run()
    first, second = kept_versions(copied.project)
    cut(copied.project.warehouse)
    empty(second.path)

    roll_back(copied.project)

    assert copied.query(ROWS) == [(1, "one")]
    assert not first.path.exists()


def test_a_run_loads_and_says_how_to_recover_and_rebuild_does_so(
    source: Database, copied: Lake
) -> None:
    file = copied.project.warehouse
    damage_log(file)
    broken = file.read_bytes()
    source.execute("insert into a values (2, 'two', clock_timestamp())")

    ended = copied.command("run")
    report = rebuild(copied.project)

    assert ended.returncode == 1
    assert "✓ shop.a" in ended.stdout
    told = ended.stdout + ended.stderr
    assert "its write-ahead log is damaged" in told
    assert "lakefeed rebuild" in told
    assert "another program" not in told
    assert copied.query(ROWS)[-1] == (2, "two")
    assert report.set_aside == file.with_name("warehouse.duckdb.damaged")
    assert report.set_aside.read_bytes() == broken
    assert resume(copied.project) is None


def test_a_failed_rebuild_leaves_the_damaged_file_in_place(copied: Lake) -> None:
    file = copied.project.warehouse
    empty(file)
    (copied.root / "dbt/models/marts/wrong.sql").write_text("select nothing from nowhere")

    report = rebuild(copied.project)

    assert [node.name for node in report.build.failures] == ["wrong"]
    assert report.set_aside is None
    assert file.read_bytes() == b""


@pytest.mark.parametrize("act", [build_all, rebuild, roll_back])
def test_a_folder_in_its_place_is_reported_and_left_alone(
    copied: Lake, act: Callable[[object], object]
) -> None:
    copied.project.warehouse.unlink()
    copied.project.warehouse.mkdir()

    with pytest.raises(StorageFailed, match="found a folder where a file is expected"):
        act(copied.project)
    assert copied.project.warehouse.is_dir()
