"""What the disk has before a load is committed, so that a power failure can't take it back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakefeed import textfile
from tests.conftest import Database, Lake, only


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Path, int]]:
    """What was synced, in order, and how many commits the lake had then."""
    found: list[tuple[Path, int]] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        commits = len(list(tmp_path.glob("data/raw/*/_dlt_loads/*.jsonl")))
        found.append((Path(f"/proc/self/fd/{descriptor}").readlink(), commits))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    return found


def test_a_commit_is_written_once_the_disk_has_rows_and_manifest(
    database: Database, lake: Lake, synced: list[tuple[Path, int]]
) -> None:
    database.execute("create table t (id int primary key)", "insert into t values (1)")

    only(lake.declare("t: {mode: full_refresh}").load())

    (rows,) = lake.files("shop__t")
    (manifest,) = (lake.root / "data/raw/shop__t/_lakefeed_loads").glob("*.json")
    assert {(rows, 0), (manifest, 0)} <= set(synced)


def test_a_replaced_file_is_synced_before_it_takes_its_name(
    tmp_path: Path, synced: list[tuple[Path, int]]
) -> None:
    textfile.replace_text(tmp_path / "a.json", "text")

    assert [path for path, _ in synced] == [tmp_path / "a.json.part", tmp_path]


def test_a_file_that_means_nothing_after_a_power_failure_is_not_synced(
    tmp_path: Path, synced: list[tuple[Path, int]]
) -> None:
    textfile.replace_text(tmp_path / "a.json", "text", durable=False)

    assert synced == []
