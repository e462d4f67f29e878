"""Lakes that earlier versions wrote: read, added to, built, pruned, and nothing read again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.manifest_pack import MOST_UNPACKED
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.inspect.trace import trace
from lakefeed.orchestration.reports.run_history import read_runs
from lakefeed.orchestration.reports.run_report import TableReport
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, copy_of
from tests.lakes.archive import archived, source_of
from tests.lakes.make import LAKES

VERSIONS = sorted(folder.name for folder in LAKES.iterdir() if (folder / "lake.tar.gz").exists())
TABLES = ("baskets", "carts", "countries", "customers", "events", "notes", "orders")


@pytest.fixture(scope="module", params=VERSIONS)
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The lake of a version, as it was archived."""
    return archived(request.param, tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def source(server_url: str, kept: Lake) -> Database:
    """The source as the archived lake saw it last."""
    return source_of(kept, server_url)


@pytest.fixture(scope="module")
def ran(
    kept: Lake, source: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lake, dict[str, TableReport]]]:
    """A copy of it after a run of this version, and what that told of each table."""
    lake = copy_of(kept, tmp_path_factory.mktemp("ran"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        report = lake.run()
        assert report.exit_code == 0, report
        yield lake, {table.name: table for table in report.tables}


@pytest.fixture
def lake(ran: tuple[Lake, dict[str, TableReport]], tmp_path: Path) -> Lake:
    """A copy of that, for one test."""
    return copy_of(ran[0], tmp_path)


def staged(lake: Lake) -> dict[str, list[tuple[object, ...]]]:
    relations = [f"staging.stg_shop__{name}" for name in TABLES] + ["history.hst_shop__customers"]
    return {
        name: lake.query(f"select * exclude (_staged_batch) from {name} order by all")
        for name in relations
    }


def test_it_is_read_on_and_nothing_is_read_again(
    ran: tuple[Lake, dict[str, TableReport]],
) -> None:
    lake, told = ran

    assert sum(table.rows_written for table in told.values()) == 0
    # Row versions of another server are numbered otherwise; a full refresh reads all there is.
    read_again = {name for name, table in told.items() if table.rows_read > 2}
    assert read_again == {"shop.notes", "shop.countries"}
    assert audit(lake.project, ()).exit_code == 0


def test_its_past_is_told(lake: Lake) -> None:
    found = trace(lake.project, "shop.orders", ["2"])

    assert [version.values["word"] for version in found.versions][:1] == ["first"]
    assert len(read_runs(lake.project.data)) >= MOST_UNPACKED
    assert lake.command("status").returncode == 0
    assert lake.command("check", "--data").returncode == 0


def test_it_is_pruned_and_rebuilt_to_the_same(lake: Lake) -> None:
    before = staged(lake)
    packed = CommitLog(lake.project.raw_url, "shop__orders").loads()

    pruned = lake.command("prune")

    assert pruned.returncode == 0, pruned
    assert staged(lake) == before
    assert len(CommitLog(lake.project.raw_url, "shop__orders").loads()) == len(packed)
    assert len(CommitLog(lake.project.raw_url, "shop__countries").loads()) == 1
    assert lake.command("rebuild").returncode == 0
    assert staged(lake) == before


def test_what_it_did_not_note_is_noted_once_from_the_present(
    ran: tuple[Lake, dict[str, TableReport]], kept: Lake
) -> None:
    lake, _ = ran
    log = CommitLog(lake.project.raw_url, "shop__orders")
    before = CommitLog(kept.project.raw_url, "shop__orders").loads()

    noted = log.loads()

    assert noted[:-1] == before[:-1]
    assert noted[-1].read_as is not None
    assert noted[-1].read_as.identities is not None
    packed = (lake.root / "data/raw/shop__orders/_lakefeed_loads/packed").read_text()
    had_noted_it = before[-1].read_as is not None and before[-1].read_as.parts is not None
    assert (noted[-1] == before[-1]) is had_noted_it
    assert (noted[-1].load_id in packed) is not had_noted_it
    files = {path: path.stat().st_mtime_ns for path in (lake.root / "data/raw").rglob("*.*")}
    assert {table.status for table in lake.load().tables} == {"unchanged"}
    assert files == {
        path: path.stat().st_mtime_ns for path in (lake.root / "data/raw").rglob("*.*")
    }


def test_it_goes_on(lake: Lake, source: Database) -> None:
    source.execute(
        "alter type mood rename value 'ok' to 'fine'",
        "update orders set word = 'after', at = '2026-02-01Z' where id = 5",
        "delete from baskets where id = 8",
        "update customers set word = 'after', at = '2026-02-01Z' where id = 9",
    )

    assert lake.run().exit_code == 0

    changed = "select word, feeling from staging.stg_shop__orders where id in (5, 9) order by id"
    assert lake.query(changed) == [("after", "fine"), ("first", "fine")]
    assert lake.query("select count(*) from staging.stg_shop__baskets where id = 8") == [(0,)]
    versions = "select word, is_current from history.hst_shop__customers where id = 9 order by 2"
    assert lake.query(versions) == [("first", False), ("after", True)]
