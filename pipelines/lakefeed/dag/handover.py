"""Passes reports and build plans between tasks, as JSON through XCom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lakefeed.dag.names import loads_of
from lakefeed.declaration.project import Project
from lakefeed.documents import from_fields, to_fields
from lakefeed.errors import LakefeedError
from lakefeed.orchestration.build.build_plan import BuildPlan
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.transformation.dbt_adapter.runner import BuildResult

_REPORT = "report"
_PLAN = "plan"
_SEE_LOG = "see the log of that task"
_FAILED = ("failed", "upstream_failed")


def push_report(context: Mapping[str, Any], report: RunReport) -> None:
    """Hands this task's report to downstream tasks, even if the task fails afterwards."""
    context["ti"].xcom_push(key=_REPORT, value=to_fields(report))


def pull_reports(context: Mapping[str, Any], tasks: Iterable[str]) -> list[RunReport]:
    """The reports that these tasks of the run have pushed."""
    pushed = context["ti"].xcom_pull(task_ids=list(tasks), key=_REPORT)
    return [from_fields(RunReport, report) for report in pushed if report]


def push_plan(context: Mapping[str, Any], plan: BuildPlan) -> None:
    """Hands the plan of this run's build to downstream tasks."""
    context["ti"].xcom_push(key=_PLAN, value=to_fields(plan))


def pull_plan(context: Mapping[str, Any], task: str) -> BuildPlan | None:
    """The plan that a task has pushed; None if it built nothing."""
    pushed = context["ti"].xcom_pull(task_ids=task, key=_PLAN)
    return from_fields(BuildPlan, pushed) if pushed else None


def states_of(context: Mapping[str, Any]) -> dict[str, str | None]:
    """The state of each task of this run that has one."""
    run = context["dag_run"]
    found = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    return dict(found.get(run.run_id, {}))


def failed_of(states: Mapping[str, str | None]) -> list[str]:
    """The tasks that failed, or didn't run because an upstream task did."""
    return [name for name, state in states.items() if state in _FAILED]


def with_unreported_tables(
    project: Project, report: RunReport, states: Mapping[str, str | None]
) -> RunReport:
    """Adds the tables of load tasks that failed before they could push a report."""
    reported = {table.lake_name for table in report.tables}
    unreported = [
        TableReport(
            table.shown,
            table.lake_name,
            "failed",
            error=LakefeedError("its task failed before it read anything", where=task, do=_SEE_LOG),
        )
        for task, tables in loads_of(project).items()
        if states.get(task) in _FAILED
        for table in tables
        if table.lake_name not in reported
    ]
    return replace(report, tables=(*report.tables, *unreported))


def merge_reports(reports: Sequence[RunReport]) -> RunReport:
    """Merges the reports of several tasks into the one that `lakefeed run` would give."""
    nodes = tuple(node for report in reports if report.build for node in report.build.nodes)
    seconds = sum(report.build.seconds for report in reports if report.build)
    built = any(report.build for report in reports)
    return RunReport(
        tables=tuple(table for report in reports for table in report.tables),
        warnings=tuple(dict.fromkeys(line for report in reports for line in report.warnings)),
        synced=tuple(dict.fromkeys(name for report in reports for name in report.synced)),
        build=BuildResult(nodes, seconds) if built else None,
        build_error=next((report.build_error for report in reports if report.build_error), None),
        staged={name: staged for report in reports for name, staged in report.staged.items()},
        held_back=tuple(dict.fromkeys(name for report in reports for name in report.held_back)),
        seconds=sum(report.seconds for report in reports),
        kept={name: why for report in reports for name, why in report.kept.items()},
        published_at=next((report.published_at for report in reports if report.published_at), None),
    )
