"""Many rows at once: state and memory stay bounded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import NIGHTLY, Database, Lake

pytestmark = [pytest.mark.faults, pytest.mark.nightly, pytest.mark.at_night]

TIES = 10_000_000 if NIGHTLY else 1_000_000

MEASURED = """
import resource, subprocess, sys
code = subprocess.run([sys.executable, "-m", "lakefeed.cli.main", "load"]).returncode
print("megabytes", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(code)
"""


def load(lake: Lake) -> tuple[str, int]:
    """The output of `lakefeed load`, and its peak memory in MB."""
    ended = subprocess.run(
        [sys.executable, "-c", MEASURED],
        cwd=lake.root, env=os.environ.copy(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    printed, _, megabytes = ended.stdout.rpartition("megabytes ")
    return printed, int(megabytes)


def test_a_million_rows_with_one_cursor_value_take_bounded_state_and_memory(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table t (id int primary key, at timestamptz)",
        f"insert into t select i, '2026-01-01Z' from generate_series(1, {TIES}) i",
    )
    lake.declare("t: {cursor: at}")

    first, _ = load(lake)
    database.execute("insert into t values (0, '2026-01-01Z')")
    second, megabytes = load(lake)

    assert f"{TIES:,} rows" in first
    assert " 1 row in" in second
    assert megabytes < 600
    state = lake.root / "data/.dlt/pipelines/shop__t/state.json"
    assert state.stat().st_size < 5_000


def test_comparing_millions_of_keys_takes_bounded_memory(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id text primary key, at timestamptz)",
        "insert into t select md5(i::text), '2026-01-01Z'::timestamptz + i * interval '1 second'"
        " from generate_series(1, 3000000) i",
    )
    lake.declare("t: {cursor: at, deletes: remove}")
    load(lake)
    database.execute("delete from t where id like 'ab%'")

    printed, megabytes = load(lake)

    assert "11,7" in printed, printed
    assert "deleted" in printed
    assert megabytes < 1_200


def test_rows_of_ten_kilobytes_take_bounded_memory(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, word text)",
        "alter table t alter word set storage external",
        "insert into t select i, repeat(md5(i::text), 300) from generate_series(1, 60000) i",
    )

    _, megabytes = load(lake.declare("t: {mode: full_refresh}"))

    assert megabytes < 600
