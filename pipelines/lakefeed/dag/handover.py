"""Passes reports, build plans and catalogues between tasks, through XCom.

Tasks may run on machines that share no folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lakefeed.dag.names import loads_of
from lakefeed.declaration.catalogue import (
    Catalogue,
    CatalogueTable,
    catalogue_in,
    catalogue_text,
)
from lakefeed.declaration.project import Project, open_project
from lakefeed.declaration.table import Table
from lakefeed.documents import from_fields, to_fields
from lakefeed.errors import LakefeedError
from lakefeed.orchestration.build.build_plan import BuildPlan
from lakefeed.orchestration.project.catalogue_sync import adopt_loaded
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.transformation.dbt_adapter.runner import BuildResult

_REPORT = "report"
_PLAN = "plan"
_CATALOGUE = "catalogue"
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


def push_catalogue(context: Mapping[str, Any], project: Project, report: RunReport) -> None:
    """Hands over the columns of the tables that this task has loaded."""
    loads = {t.lake_name: t.load_id for t in report.tables if t.status == "loaded"}
    found: dict[str, dict[str, CatalogueTable]] = {}
    for table in project.tables:
        if table.lake_name in loads and table.catalogue:
            found.setdefault(table.source, {})[table.qualified] = table.catalogue
    if found:
        value = {"tables": catalogue_text(Catalogue(found)), "loads": loads}
        context["ti"].xcom_push(key=_CATALOGUE, value=value)


def project_of_run(context: Mapping[str, Any], root: str) -> Project:
    """The project in `root` with the columns of the tables that this run has loaded.

    Side effects: writes `sources.lock.yaml` and generated models, if a load on another machine
    found other columns than this one knows.
    """
    project = open_project(Path(root))
    loads_of_run = list(loads_of(project, context["dag_run"].dag_id))
    pushed = context["ti"].xcom_pull(task_ids=loads_of_run, key=_CATALOGUE)
    found: dict[str, dict[str, CatalogueTable]] = {}
    loads: dict[str, str] = {}
    for handed in filter(None, pushed):
        loads.update(handed["loads"])
        for source, tables in catalogue_in(handed["tables"]).sources.items():
            found.setdefault(source, {}).update(tables)
    return adopt_loaded(project, Catalogue(found), loads)


def states_of(context: Mapping[str, Any]) -> dict[str, str | None]:
    """The state of each task of this run that has one."""
    run = context["dag_run"]
    found = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    return dict(found.get(run.run_id, {}))


def failed_of(states: Mapping[str, str | None]) -> list[str]:
    """The tasks that failed, or didn't run because an upstream task did."""
    return [name for name, state in states.items() if state in _FAILED]


def with_unreported_tables(
    loads: Mapping[str, Sequence[Table]], report: RunReport, states: Mapping[str, str | None]
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
        for task, tables in loads.items()
        if states.get(task) in _FAILED
        for table in tables
        if table.lake_name not in reported
    ]
    return replace(report, tables=(*report.tables, *unreported))


def merge_reports(reports: Sequence[RunReport]) -> RunReport:
    """Merges the reports of several tasks into the one that `lakefeed run` would give.

    Of a node that was built again, because another DAG's build intervened, the last result counts.
    """
    nodes = {
        (node.kind, node.name): node
        for report in reports
        if report.build
        for node in report.build.nodes
    }
    seconds = sum(report.build.seconds for report in reports if report.build)
    built = any(report.build for report in reports)
    return RunReport(
        tables=tuple(table for report in reports for table in report.tables),
        warnings=tuple(dict.fromkeys(line for report in reports for line in report.warnings)),
        synced=tuple(dict.fromkeys(name for report in reports for name in report.synced)),
        build=BuildResult(tuple(nodes.values()), seconds) if built else None,
        build_error=next((report.build_error for report in reports if report.build_error), None),
        staged={name: staged for report in reports for name, staged in report.staged.items()},
        held_back=tuple(dict.fromkeys(name for report in reports for name in report.held_back)),
        seconds=sum(report.seconds for report in reports),
        kept={name: why for report in reports for name, why in report.kept.items()},
        published_at=next((report.published_at for report in reports if report.published_at), None),
    )
