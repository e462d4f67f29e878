"""The conformance suite: engines pass it, broken ones don't, and nobody's tables are touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakefeed.conformance import report as reports
from lakefeed.conformance import run as conformance
from lakefeed.conformance.scratch import scratch_trial
from lakefeed.conformance.suite import FIRST, PROMISES, Promise, try_promises
from lakefeed.conformance.trial import Trial
from lakefeed.orchestration.build.rollback import resume
from lakefeed.orchestration.project.sync import sync
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.warehouse.duckdb_file.open_file import writing
from lakefeed.transformation.warehouse.duckdb_file.warehouse_file import (
    FileCandidate,
    WarehouseFile,
)
from tests.conftest import (
    CONNECTION_VARIABLE,
    DUCKLAKE,
    NIGHTLY,
    Database,
    Lake,
    new_database,
    new_lake,
)

BY_NAME = {promise.name: promise for promise in PROMISES}
# Of a DuckLake, what its own code does; the rest, at night.
ON_DUCKLAKE = (
    FIRST.name,
    "values of all types survive a merge",
    "killed runs are made up for",
    "a rollback shows the version before",
)


@pytest.fixture
def shop(database: Database, lake: Lake) -> Lake:
    """A project of which the test needs only the warehouse and the raw layer."""
    database.execute("create table a (id int primary key, at timestamptz default now())")
    sync(lake.declare("a: {cursor: at}").project)
    return lake


@pytest.mark.at_night
@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_file_passes_and_the_report_is_written(shop: Lake, server_url: str) -> None:
    ended = shop.command("check", "--warehouse", "--conformance", "--server", server_url)

    assert ended.returncode == 0, ended
    assert ended.stdout.count("passed ") == len(PROMISES)
    (path,) = (shop.root / "data/conformance").glob("duckdb-*.json")
    assert f"report: {path}" in ended.stdout
    report = reports.REPORT.read(path.read_text(), path.name)
    assert report.is_passed
    assert report.engine == "DuckDB 1.5.5"
    assert not (shop.root / "data/conformance/project").exists()
    assert not list((shop.root / "data").glob("raw/lakefeed_conformance"))
    assert not (shop.root / "data/warehouse.duckdb").exists()


@pytest.mark.engines
@pytest.mark.timeout(900)
def test_a_ducklake_passes(
    catalogue: Database, shop: Lake, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert catalogue.name
    chosen = PROMISES if NIGHTLY else tuple(BY_NAME[name] for name in ON_DUCKLAKE)
    lake = replace(shop, warehouse=DUCKLAKE).declare("a: {cursor: at}")

    with scratch_trial(lake.project, server_url) as trial:
        outcomes = list(try_promises(trial, chosen))

    assert [(one.promise.name, one.why) for one in outcomes if not one.is_kept] == []
    assert len(outcomes) == len(chosen)


@pytest.mark.engines
def test_a_lake_with_a_published_version_is_refused(
    catalogue: Database, shop: Lake, server_url: str
) -> None:
    lake = replace(shop, warehouse=DUCKLAKE).declare("a: {cursor: at}")
    lake.run()

    ended = lake.command("check", "--warehouse", "--conformance", "--server", server_url)

    assert ended.returncode == 1
    assert "a version of the warehouse is published in" in ended.stderr
    assert "another database in `catalog_url` and another folder in `data_url`" in ended.stderr


@pytest.fixture(scope="module")
def built(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    """The test's project in a file, after its first build."""
    root = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONNECTION_VARIABLE, new_database(server_url).url)
        project = new_lake(root).declare("a: {cursor: at}").project
        with scratch_trial(project, server_url) as trial:
            assert [outcome.why for outcome in try_promises(trial, [FIRST])] == [""]
            yield trial


def loses_a_row(patch: pytest.MonkeyPatch) -> None:
    _after_each_build(patch, "delete from staging.stg_conformance__orders where id = 201")


def rounds_a_decimal(patch: pytest.MonkeyPatch) -> None:
    _after_each_build(
        patch, "update staging.stg_conformance__types set numeric_18_6 = trunc(numeric_18_6, 5)"
    )


def publishes_what_failed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FileCandidate, "put_back", lambda *_: None)


def never_returns(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WarehouseFile, "return_to", lambda *_: None)


def _after_each_build(patch: pytest.MonkeyPatch, statement: str) -> None:
    original = FileCandidate.run_dbt

    def run_dbt(candidate: FileCandidate, arguments: Any) -> BuildResult:
        result = original(candidate, arguments)
        with writing(candidate.file.path) as session:
            session.execute(statement)
        return result

    patch.setattr(FileCandidate, "run_dbt", run_dbt)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("breaks", "promise", "why"),
    [
        (loses_a_row, "rows are added, updated and removed", "199 rows instead of 200"),
        (rounds_a_decimal, "values of all types survive a merge", "numeric(18,6): "),
        (never_returns, "a rollback shows the version before", "after a rollback: "),
        (publishes_what_failed, "a failing test holds its model back", "marts.balances: "),
    ],
)
def test_a_broken_engine_fails_the_promise_that_it_breaks(
    built: Trial,
    monkeypatch: pytest.MonkeyPatch,
    breaks: Callable[[pytest.MonkeyPatch], None],
    promise: str,
    why: str,
) -> None:
    # Where the rollback was broken before, it still holds.
    resume(built.project)
    breaks(monkeypatch)

    (outcome,) = try_promises(built, [BY_NAME[promise]])

    assert why in outcome.why


def test_the_command_fails_and_says_what_differed(
    shop: Lake,
    server_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def differs(trial: Trial) -> None:
        raise RuntimeError(f"{trial.root}/rows.parquet on 10.0.0.7:5432 has 2 rows instead of 3")

    promise = Promise("rows arrive", "staging", differs)
    monkeypatch.setattr(conformance, "try_promises", lambda trial: try_promises(trial, [promise]))
    project = shop.project

    code = conformance.run_conformance(project, conformance_of(shop), server_url)

    assert code == 1
    told = capsys.readouterr().out
    assert "failed" in told
    assert "rows.parquet on 10.0.0.7:5432 has 2 rows instead of 3" in told
    assert f"to investigate: {shop.root}" in told
    (path,) = (shop.root / "data/conformance").glob("duckdb-*.json")
    (promise_report,) = reports.REPORT.read(path.read_text(), path.name).promises
    assert promise_report.why == "<hidden> on <hidden> has 2 rows instead of 3"


def conformance_of(lake: Lake) -> Any:
    return WarehouseFile(lake.project).inspect()


@pytest.mark.parametrize(
    "text",
    [
        "can't open /home/somebody/lake/w.duckdb",
        "s3://bucket/raw/t/x.parquet",
        "postgresql://me:secret@db.example.org:5432/catalogue",
        "file:/mnt/raw/t",
        "10.1.2.3:15002",
        "hunter22",
    ],
)
def test_a_report_hides_places_and_secrets(text: str) -> None:
    hidden = reports.without_secrets(f"3 of 4 rows, and/or {text}", ["hunter22", "/home/somebody"])

    assert hidden.startswith("3 of 4 rows, and/or ")
    assert not [part for part in ("/home", "bucket", "secret", "/mnt", "10.1", "hunter")
                if part in hidden]  # fmt: skip


def test_reports_on_record_name_no_place() -> None:
    folder = Path(reports.__file__).parent / "recorded"
    for path in folder.glob("*.json"):
        text = path.read_text()
        assert reports.without_secrets(text, []) == text, path.name
