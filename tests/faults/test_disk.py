"""Full and read-only disks are reported by name, lose nothing, and the next run recovers."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from lakefeed.errors import StorageFailed
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, new_lake

pytestmark = pytest.mark.faults

MEGABYTE = 1 << 20
LOOKS = ("status", "check", "trace shop.fat 0", "audit", "explain shop.fat", "check --connect")
ACTS = ("run", "load", "build", "rebuild", "rollback", "prune", "docs")
ROWS = "select count(*), sum(length(pad)) from staging.stg_shop__fat"


def mount(*arguments: str) -> None:
    ended = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"mounting needs root: {ended.stderr.strip()}")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A folder to mount file systems on."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    yield folder
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


@pytest.fixture
def fat(database: Database, tmp_path: Path) -> Lake:
    """A loaded table that then got 200,000 rows of 128 characters."""
    database.execute(
        "create table fat (id int primary key, pad text, at timestamptz default now())",
        "insert into fat values (0, 'first')",
    )
    lake = new_lake(tmp_path / "project").declare("fat: {cursor: at}")
    assert lake.run().exit_code == 0
    grow(database, 200_000)
    return lake


def grow(database: Database, rows: int) -> None:
    database.execute(
        "insert into fat select i, md5(i::text) || md5((i * 7)::text) || md5((i * 11)::text)"
        f" || md5((i * 13)::text), clock_timestamp() from generate_series(1, {rows}) i"
    )


def leave(disk: Path, megabytes: float) -> Path:
    """Fills a disk, except for this many megabytes."""
    filler = disk / "filler"
    free = shutil.disk_usage(disk).free - int(megabytes * MEGABYTE)
    with filler.open("wb") as file:
        file.write(b"\0" * max(free, 0))
    return filler


# A run needs 30 to 45 MB, depending on when DuckDB writes its blocks: one passed with 32.
@pytest.mark.parametrize("megabytes", [0, 8, 16, 24])
def test_a_disk_that_fills_up_at_any_point_is_reported_and_nothing_is_lost(
    database: Database, fat: Lake, mounted: Path, megabytes: float
) -> None:
    mount("-t", "tmpfs", "-o", "size=200m", "tmpfs", str(mounted))
    shutil.copytree(fat.root / "data", mounted, dirs_exist_ok=True)
    shutil.rmtree(fat.root / "data")
    (fat.root / "data").symlink_to(mounted)
    filler = leave(mounted, megabytes)

    ended = fat.command("run")
    published = fat.query(ROWS)
    filler.unlink()
    again = fat.run()

    output = ended.stdout + ended.stderr
    assert ended.returncode == 1, output
    assert "no space left on this disk" in output
    assert "committed loads and the published warehouse are intact" in output
    assert "bug in Lakefeed" not in output
    assert "Traceback" not in output
    assert published == [(1, 5)]
    assert again.exit_code == 0, again
    assert fat.query(ROWS) == database.rows("select count(*), sum(length(pad)) from fat")
    assert not list((mounted / "candidate").iterdir())


def test_an_exceeded_file_size_limit_is_named(database: Database, fat: Lake) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4 * MEGABYTE, 4 * MEGABYTE))

    command = [sys.executable, "-m", "lakefeed.cli.main", "run"]
    ended = subprocess.run(
        command, cwd=fat.root, preexec_fn=limit, capture_output=True, text=True, check=False
    )

    output = ended.stdout + ended.stderr
    assert ended.returncode == 1
    assert "the file exceeds the size that this process may write" in output
    assert "bug in Lakefeed" not in output
    assert fat.run().exit_code == 0


def test_a_read_only_project_can_be_inspected_and_refuses_to_load_at_once(
    database: Database, fat: Lake, mounted: Path
) -> None:
    mount("--bind", str(fat.root), str(mounted))
    mount("-o", "remount,bind,ro", str(mounted))
    lake = Lake(mounted)

    before = sorted(path.name for path in (fat.root / "data").iterdir())
    looks = {name: lake.command(*name.split()) for name in LOOKS}
    nowhere = "postgresql://nobody@nowhere/x"
    acts = {name: lake.command(*name.split(), LAKEFEED_TEST_URL=nowhere) for name in ACTS}
    with pytest.raises(StorageFailed, match="this file system is read-only"):
        lake.run()

    assert {c: e.stderr for c, e in looks.items() if e.returncode} == {}
    for name, ended in acts.items():
        output = ended.stdout + ended.stderr
        assert ended.returncode == 1, (name, output)
        assert f"{mounted}/" in output, name
        assert "read-only" in output, name
        assert "bug in Lakefeed" not in output, name
        assert "nowhere" not in output, name
    assert sorted(path.name for path in (fat.root / "data").iterdir()) == before


def test_production_is_planned_from_a_read_only_project_by_a_role_that_may_only_read(
    database: Database, lake: Lake, mounted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a laptop that has the project, sees production's raw, and never ran there."""
    role = f"only_reads_{database.name}"
    database.execute(
        "create table t (id int primary key, at timestamptz default now())",
        "insert into t values (1)",
        f"create role {role} login",
        f"grant select on t to {role}",
    )
    lake.declare("t: {cursor: at}")
    with (lake.root / "sources.yaml").open("a", encoding="utf-8") as declared:
        declared.write("raw: {url: '${RAW_URL:-data/raw}'}\n")
    own = make_url(database.url).set(username=role).render_as_string(hide_password=False)
    (lake.root / ".env.prod").write_text(f"{CONNECTION_VARIABLE}='{own}'\nRAW_URL=data/prod/raw\n")
    assert lake.command("--env", "prod", "run").returncode == 0
    shutil.rmtree(lake.root / "data/environments")
    database.execute("insert into t values (2)", "analyze t")
    monkeypatch.delenv(CONNECTION_VARIABLE)
    mount("--bind", str(lake.root), str(mounted))
    mount("-o", "remount,bind,ro", str(mounted))

    ended = Lake(mounted).command("--env", "prod", "plan", "--json")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    (load,) = json.loads(ended.stdout)["loads"]
    assert (load["error"], load["start"] is None) == (None, False), load
    assert not (lake.root / "data/environments").exists()
    assert not (lake.root / "data/raw").exists()
