"""Lakes of earlier versions are loaded, built and pruned, and no rows are read again."""

from __future__ import annotations

import json
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

pytestmark = pytest.mark.builds

VERSIONS = sorted(folder.name for folder in LAKES.iterdir() if (folder / "lake.tar.gz").exists())
TABLES = ("baskets", "carts", "countries", "customers", "events", "notes", "orders")


@pytest.fixture(scope="module", params=VERSIONS)
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """The archived lake of a version."""
    return archived(request.param, tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def source(server_url: str, kept: Lake) -> Database:
    """The source as of the archived lake's latest load."""
    return source_of(kept, server_url)


@pytest.fixture(scope="module")
def ran(
    kept: Lake, source: Database, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lake, dict[str, TableReport]]]:
    """A copy of it after a run of this version, and the report of each table."""
    lake = copy_of(kept, tmp_path_factory.mktemp("ran"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(CONNECTION_VARIABLE, source.url)
        report = lake.run()
        assert report.exit_code == 0, report
        yield lake, {table.name: table for table in report.tables}


@pytest.fixture
def lake(ran: tuple[Lake, dict[str, TableReport]], tmp_path: Path) -> Lake:
    """A copy of it for one test."""
    return copy_of(ran[0], tmp_path)


def staged(lake: Lake) -> dict[str, list[tuple[object, ...]]]:
    relations = [f"staging.stg_shop__{name}" for name in TABLES] + ["history.hst_shop__customers"]
    return {
        name: lake.query(f"select * exclude (_staged_batch) from {name} order by all")
        for name in relations
    }


@pytest.mark.by_day(1)
def test_an_earlier_lake_is_loaded_without_reading_rows_again(
    ran: tuple[Lake, dict[str, TableReport]],
) -> None:
    lake, reports = ran

    assert sum(table.rows_written for table in reports.values()) == 0
    # Another server numbers row versions differently; a full refresh reads all rows.
    read_again = {name for name, table in reports.items() if table.rows_read > 2}
    assert read_again == {"shop.notes", "shop.countries"}
    assert audit(lake.project, ()).exit_code == 0


def test_the_past_of_an_earlier_lake_can_be_traced_and_checked(lake: Lake) -> None:
    found = trace(lake.project, "shop.orders", ["2"])

    assert [version.values["word"] for version in found.versions][:1] == ["first"]
    assert len(read_runs(lake.project.data)) >= MOST_UNPACKED
    assert lake.command("status").returncode == 0
    checked = json.loads(lake.command("check", "--data", "--json").stdout)
    assert checked["data"]["unlike"] == []


def test_an_earlier_lake_is_the_same_after_prune_and_rebuild(lake: Lake) -> None:
    before = staged(lake)
    packed = CommitLog(lake.project.raw, "shop__orders").loads()

    pruned = lake.command("prune")

    assert pruned.returncode == 0, pruned
    assert staged(lake) == before
    assert len(CommitLog(lake.project.raw, "shop__orders").loads()) == len(packed)
    assert len(CommitLog(lake.project.raw, "shop__countries").loads()) == 1
    assert lake.command("rebuild").returncode == 0
    assert staged(lake) == before


def test_facts_that_an_earlier_version_did_not_record_are_recorded_once(
    ran: tuple[Lake, dict[str, TableReport]], kept: Lake
) -> None:
    lake, _ = ran
    log = CommitLog(lake.project.raw, "shop__orders")
    before = CommitLog(kept.project.raw, "shop__orders").loads()

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


def test_changes_in_the_source_are_loaded_into_an_earlier_lake(
    lake: Lake, source: Database
) -> None:
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
