"""How each test of the project ended when it ran last: from the runs that are kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lakefeed.orchestration.reports.run_history import KeptRun
from lakefeed.transformation.dbt_adapter.runner import NodeResult


@dataclass(frozen=True)
class DataTestResult:
    """A test, the run that ran it last, and the one since which it has ended that way."""

    test: NodeResult
    ran_at: dt.datetime
    since: dt.datetime


def newest_test_results(runs: Sequence[KeptRun], known: Collection[str]) -> list[DataTestResult]:
    """Those of the tests that are known still; failures first, then warnings, then by model.

    Args:
        runs: the oldest first. A test that was skipped didn't run.
    """
    last: dict[str, DataTestResult] = {}
    for run in runs:
        for node in run.nodes or ():
            if node.is_test and node.name in known and node.status != "skipped":
                before = last.get(node.name)
                is_as_before = before is not None and before.test.status == node.status
                since = before.since if before and is_as_before else run.started_at
                last[node.name] = DataTestResult(node, run.started_at, since)
    return sorted(last.values(), key=_rank)


def _rank(one: DataTestResult) -> tuple[bool, bool, str, str]:
    test = one.test
    return not test.failed, test.status != "warn", test.model, test.name
