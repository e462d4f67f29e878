"""Runs are kept, in little, for long, and at no cost to the run."""

from __future__ import annotations

import datetime as dt
import json
import time
from pathlib import Path

import pytest

from lakefeed.errors import TableFailed
from lakefeed.orchestration.reports import run_history
from lakefeed.orchestration.reports.data_test_history import newest_test_results
from lakefeed.orchestration.reports.run_history import KeptRun, keep_run, read_runs
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.transformation.dbt_adapter.runner import BuildResult, NodeResult

BEGAN = dt.datetime(2026, 11, 25, 1, 0, tzinfo=dt.UTC)
FAILED = TableReport(
    "shop.b", "shop__b", "failed", error=TableFailed("it is gone", where="s.yaml:3")
)
LOADED = TableReport("shop.a", "shop__a", "loaded", rows_written=3, notes=("a note",))


def at(minute: int) -> dt.datetime:
    return BEGAN + dt.timedelta(minutes=minute)


def a_test(name: str, status: str, message: str = "") -> NodeResult:
    return NodeResult(
        name=name,
        kind="test",
        status=status,
        message=message,
        seconds=0.01,
        selectors=("stg_a",),
        model="stg_a",
    )


def built(*nodes: NodeResult) -> RunReport:
    return RunReport((LOADED,), build=BuildResult(nodes, 1.0), seconds=2.0)


def test_a_recorded_run_is_read_back_unchanged(tmp_path: Path) -> None:
    failing = NodeResult(
        name="t",
        kind="test",
        status="fail",
        message="Got 3 results",
        seconds=0.1,
        selectors=("stg_a",),
        model="stg_a",
        where="sources.yaml:7",
        stored_in=("test_failures", "t"),
        rows_in="data/failures.duckdb",
    )
    report = RunReport(
        (LOADED, FAILED), ("a warning",), build=BuildResult((failing,), 1.0), seconds=2.0,
        kept={"fct": "its build failed"}, published_at="2026-11-25T01:00:03+00:00",
    )  # fmt: skip

    assert keep_run(tmp_path, "run", BEGAN, report) == report

    (kept,) = read_runs(tmp_path)
    assert kept == KeptRun.of("run", BEGAN, report)
    assert (kept.exit_code, kept.rows, kept.tables[1].error) == (1, 3, "s.yaml:3: it is gone")
    assert kept.nodes is not None
    assert kept.nodes[0].told.endswith("select * from test_failures.t")


def test_runs_without_new_rows_do_not_displace_runs_that_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_history, "MOST_RUNS", 3)
    for minute in range(10):
        keep_run(tmp_path, "run", at(minute), built() if minute == 2 else RunReport(()))

    assert [run.started_at.minute for run in read_runs(tmp_path)] == [2, 7, 8, 9]


def test_a_run_that_cannot_be_recorded_warns_but_does_not_fail(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("in the way")

    report = keep_run(tmp_path, "run", BEGAN, RunReport((LOADED,)))

    assert report.exit_code == 0
    assert "this run is missing from `lakefeed docs`" in report.warnings[0]


def test_unreadable_records_are_skipped(tmp_path: Path) -> None:
    keep_run(tmp_path, "run", BEGAN, RunReport((LOADED,)))
    for number, text in enumerate(("", "{}", '{"from": "a later version"}', "[]")):
        (tmp_path / "runs" / f"2026112{number}T000000.000000Z.json").write_text(text)

    assert [run.command for run in read_runs(tmp_path)] == ["run"]


def test_unknown_fields_of_a_later_version_are_ignored(tmp_path: Path) -> None:
    keep_run(tmp_path, "run", BEGAN, built(a_test("a", "pass")))
    (before,) = read_runs(tmp_path)
    (path,) = (tmp_path / "runs").glob("*.json")
    record = json.loads(path.read_text())
    record["new"] = record["tables"][0]["new"] = record["nodes"][0]["new"] = {"of": "it"}
    path.write_text(json.dumps(record))

    assert read_runs(tmp_path) == (before,)


def test_recording_a_run_takes_milliseconds_with_a_full_history(tmp_path: Path) -> None:
    for minute in range(500):
        keep_run(tmp_path, "run", at(minute), RunReport(()))
    report = RunReport(tuple([LOADED] * 10))

    took = []
    for minute in range(500, 520):
        started = time.perf_counter()
        keep_run(tmp_path, "run", at(minute), report)
        took.append(time.perf_counter() - started)

    assert min(took) < 0.005


def test_each_test_has_its_latest_result_and_since_when_it_holds(tmp_path: Path) -> None:
    for minute, nodes in enumerate(
        (
            [a_test("a", "pass"), a_test("b", "pass"), a_test("gone", "fail")],
            [a_test("a", "fail", "Got 1 result"), a_test("b", "skipped")],
            [a_test("a", "fail", "Got 2 results"), a_test("c", "warn", "Got 1 result")],
        )
    ):
        keep_run(tmp_path, "run", at(minute), built(*nodes))

    found = newest_test_results(read_runs(tmp_path), {"a", "b", "c"})

    assert [(one.test.name, one.test.status, one.since.minute) for one in found] == [
        ("a", "fail", 1),
        ("c", "warn", 2),
        ("b", "pass", 0),
    ]
    assert (found[0].ran_at.minute, found[0].test.message) == (2, "Got 2 results")
