"""The latest result of each test in the project, from the recorded runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lakefeed.orchestration.reports.run_history import KeptRun
from lakefeed.transformation.dbt_adapter.runner import NodeResult


@dataclass(frozen=True)
class DataTestResult:
    """A test's latest result, when it ran, and since when its result has been the same."""

    test: NodeResult
    ran_at: dt.datetime
    since: dt.datetime


def newest_test_results(runs: Sequence[KeptRun], known: Collection[str]) -> list[DataTestResult]:
    """The latest results of known tests: failures first, then warnings, then by model.

    Args:
        runs: oldest first. A skipped test counts as not run.
        known: the names of the tests that still exist.
    """
    last: dict[str, DataTestResult] = {}
    for run in runs:
        for node in run.nodes or ():
            if node.is_test and node.name in known and node.status != "skipped":
                before = last.get(node.name)
                is_unchanged = before is not None and before.test.status == node.status
                since = before.since if before and is_unchanged else run.started_at
                last[node.name] = DataTestResult(node, run.started_at, since)
    return sorted(last.values(), key=_rank)


def _rank(result: DataTestResult) -> tuple[bool, bool, str, str]:
    test = result.test
    return not test.failed, test.status != "warn", test.model, test.name
