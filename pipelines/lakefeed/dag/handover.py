"""What one task tells the next, through XCom: reports as JSON, and what is left to be built."""

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


def tell_report(context: Mapping[str, Any], report: RunReport) -> None:
    """For the tasks behind this one, even where it fails."""
    context["ti"].xcom_push(key=_REPORT, value=to_fields(report))


def told_reports(context: Mapping[str, Any], tasks: Iterable[str]) -> list[RunReport]:
    """What these tasks of this run told, of those that told anything."""
    told = context["ti"].xcom_pull(task_ids=list(tasks), key=_REPORT)
    return [from_fields(RunReport, one) for one in told if one]


def tell_plan(context: Mapping[str, Any], plan: BuildPlan) -> None:
    """What the models below staging are to be built from."""
    context["ti"].xcom_push(key=_PLAN, value=to_fields(plan))


def told_plan(context: Mapping[str, Any], task: str) -> BuildPlan | None:
    """The plan that a task left for the next; None where it built nothing."""
    told = context["ti"].xcom_pull(task_ids=task, key=_PLAN)
    return from_fields(BuildPlan, told) if told else None


def states_of(context: Mapping[str, Any]) -> dict[str, str | None]:
    """The state of each task of this run, as far as it has one."""
    run = context["dag_run"]
    found = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    return dict(found.get(run.run_id, {}))


def failed_of(states: Mapping[str, str | None]) -> list[str]:
    """The tasks that failed, or had no chance."""
    return [name for name, state in states.items() if state in _FAILED]


def with_silent_loads(
    project: Project, report: RunReport, states: Mapping[str, str | None]
) -> RunReport:
    """The report with the tables of tasks that failed before they could report anything."""
    told = {table.lake_name for table in report.tables}
    silent = [
        TableReport(
            table.shown,
            table.lake_name,
            "failed",
            error=LakefeedError("its task failed before it read anything", where=task, do=_SEE_LOG),
        )
        for task, tables in loads_of(project).items()
        if states.get(task) in _FAILED
        for table in tables
        if table.lake_name not in told
    ]
    return replace(report, tables=(*report.tables, *silent))


def in_one(reports: Sequence[RunReport]) -> RunReport:
    """The reports of several tasks as the one that `lakefeed run` would give."""
    nodes = tuple(node for report in reports if report.build for node in report.build.nodes)
    seconds = sum(report.build.seconds for report in reports if report.build)
    built = any(report.build for report in reports)
    return RunReport(
        tuple(table for report in reports for table in report.tables),
        tuple(dict.fromkeys(line for report in reports for line in report.warnings)),
        tuple(dict.fromkeys(name for report in reports for name in report.synced)),
        BuildResult(nodes, seconds) if built else None,
        next((report.build_error for report in reports if report.build_error), None),
        {name: staged for report in reports for name, staged in report.staged.items()},
        tuple(dict.fromkeys(name for report in reports for name in report.held_back)),
        sum(report.seconds for report in reports),
        {name: why for report in reports for name, why in report.kept.items()},
        next((report.published_at for report in reports if report.published_at), None),
    )
