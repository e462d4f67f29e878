"""Engines that run out of memory write to disk, each to files of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lakefeed.loading.sessions.duckdb_engine import Engines, open_engine
from lakefeed.loading.sessions.spill_folders import own_folder

ROWS = 400_000
SORTED = f"""
select count(*), sum(value), bool_and(key = md5((value * {{factor}})::varchar) || repeat('x', 50))
from (
    select value, key, row_number() over (order by key) as place
    from (
        select range as value, md5((range * {{factor}})::varchar) || repeat('x', 50) as key
        from range({ROWS})
    )
)
"""


def sorts(engine: object, factor: int) -> object:
    """What comes of sorting more than fits in memory."""
    engine.execute("set threads = 1")  # type: ignore[attr-defined]
    engine.execute("set memory_limit = '30MB'")  # type: ignore[attr-defined]
    return engine.execute(SORTED.format(factor=factor)).fetchall()  # type: ignore[attr-defined]


def dead_process() -> int:
    """The ID of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_engines_that_spill_at_the_same_time_keep_their_values_apart(tmp_path: Path) -> None:
    engines = [open_engine(tmp_path).duckdb for _ in range(3)]
    with ThreadPoolExecutor(len(engines)) as threads:
        found = list(threads.map(sorts, engines, range(1, 4)))
    for engine in engines:
        engine.close()

    assert found == [[(ROWS, ROWS * (ROWS - 1) // 2, True)]] * len(engines)
    assert list(tmp_path.iterdir()) == []


def test_files_of_a_process_that_was_killed_are_removed_by_the_next(tmp_path: Path) -> None:
    dead = tmp_path / own_folder(tmp_path).name.replace(f"-{os.getpid()}-", f"-{dead_process()}-")
    others = tmp_path / f"elsewhere-{os.getpid()}-1"
    for folder in (dead, others):
        folder.mkdir()
        (folder / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"rows")

    Engines(tmp_path, at_most=1).close()

    assert list(tmp_path.iterdir()) == [others]


def test_files_that_an_earlier_version_left_are_removed(tmp_path: Path) -> None:
    (tmp_path / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"rows")

    Engines(tmp_path, at_most=1).close()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["maintenance", "notes.txt"])
def test_nothing_else_is_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()

    Engines(tmp_path, at_most=1).close()

    assert (tmp_path / name).is_dir()
