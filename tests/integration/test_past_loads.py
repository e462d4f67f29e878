"""The cost of a run doesn't grow with the number of past loads, counted in files read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fsspec.implementations.local import LocalFileSystem

from lakefeed.loading import probe
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.manifest_pack import MOST_UNPACKED
from tests.conftest import Database, Lake, only

pytestmark = pytest.mark.builds

T = (
    "create table t (id int primary key, word text, at timestamptz)",
    "insert into t select i, 'w', '2026-01-01Z' from generate_series(1, 100) i",
)
LOADS_FOLDER = "shop__t/_lakefeed_loads"


def load_times(database: Database, lake: Lake, times: int, start: int = 0) -> None:
    """Loads this many times, each time an hour later with a changed row."""
    for number in range(start, start + times):
        at = f"timestamptz '2026-01-02Z' + interval '{number} hours'"
        database.execute(f"update t set word = 'v{number}', at = {at} where id = {number + 1}")
        assert only(lake.load()).status == "loaded"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Files that are read below raw: descriptions as they are read, data as it is compared with."""
    read: list[str] = []
    cat_file, of = LocalFileSystem.cat_file, LatestRows.of.__func__  # type: ignore[attr-defined]

    def noting_cat(self: LocalFileSystem, path: str, *rest: object, **named: object) -> bytes:
        read.append(path)
        return cat_file(self, path, *rest, **named)

    def noting_held(cls: type[LatestRows], log: CommitLog, loads: list[object]) -> LatestRows:
        held = of(cls, log, loads)
        read.extend(held.files)
        return held

    with monkeypatch.context() as patched:
        patched.setattr(LocalFileSystem, "cat_file", noting_cat)
        patched.setattr(probe.LatestRows, "of", classmethod(noting_held))
        yield read


@pytest.mark.parametrize(
    ("declared", "nulls"),
    [
        pytest.param("cursor: at", False, marks=pytest.mark.at_night),
        ("cursor: at", True),
        pytest.param("cursor: xmin", False, marks=pytest.mark.at_night),
    ],
)
def test_the_number_of_files_that_a_load_reads_is_bounded(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch, declared: str, nulls: bool
) -> None:
    database.execute(*T)
    if nulls:
        database.execute("update t set at = null where id = 100")
    lake.declare(f"t: {{{declared}}}")
    monkeypatch.setattr("lakefeed.loading.comparison.loads_to_compare._RECENT_LOADS", 3)
    load_times(database, lake, 3)
    with counted(monkeypatch) as few:
        assert only(lake.load()).status == "unchanged"
    load_times(database, lake, 57, start=3)
    # A row with a null cursor is written again now and then, so that recent loads have it.
    rewritten = int(only(lake.load()).status == "loaded")
    with counted(monkeypatch) as many:
        assert only(lake.load()).status == "unchanged"
    with counted(monkeypatch) as changed:
        load_times(database, lake, 1, start=60)

    assert len(CommitLog(lake.project.raw, "shop__t").loads()) == 61 + rewritten
    assert rewritten <= int(nulls)
    assert len(few) > 0
    assert len(many) <= 1 + MOST_UNPACKED + 3
    assert len(changed) <= 2 * (1 + MOST_UNPACKED + 3)


@pytest.mark.by_day(1)
@pytest.mark.parametrize("text", ["", "{", '{"version": 2}', '{"version": 1, "loads": [{}]}'])
def test_an_unusable_pack_changes_nothing(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr("lakefeed.loading.raw.commit_log.MOST_UNPACKED", 2)
    database.execute(*T)
    lake.declare("t: {cursor: at}")
    load_times(database, lake, 4)
    log = CommitLog(lake.project.raw, "shop__t")
    packed = lake.root / "data" / "raw" / LOADS_FOLDER / "packed"
    before = log.loads()
    assert packed.exists()
    packed.write_text(text)

    assert log.loads() == before
    assert len(before) == 4
    load_times(database, lake, 1, start=4)
    assert packed.read_text() != text


def test_a_packed_load_counts_only_while_it_is_committed(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefeed.loading.raw.commit_log.MOST_UNPACKED", 2)
    database.execute(*T)
    lake.declare("t: {cursor: at}")
    load_times(database, lake, 4)
    log = CommitLog(lake.project.raw, "shop__t")
    first, *others = log.loads()
    packed = lake.root / "data" / "raw" / LOADS_FOLDER / "packed"
    assert first.load_id in packed.read_text()

    for commit in (lake.root / "data" / "raw" / "shop__t" / "_dlt_loads").glob(
        f"*__{first.load_id}.jsonl"
    ):
        commit.unlink()

    assert log.loads() == others


def test_a_full_refresh_table_is_staged_after_many_loads(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {mode: full_refresh}").run()
    for number in range(3):
        database.execute(f"update t set word = 'v{number}' where id = 1")
        assert lake.run().exit_code == 0

    assert lake.query("select word from staging.stg_shop__t where id = 1") == [("v2",)]
    assert lake.query("select count(*) from staging.stg_shop__t") == [(100,)]
    assert lake.query("select count(distinct load_id), count(*) from _lakefeed.staged_loads") == [
        (4, 4)
    ]
    assert lake.run().build is None
