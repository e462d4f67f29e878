"""The tasks' functions: they call the same functions as the command line, and print the same.

Heavy modules are imported when a task runs, not when the scheduler parses the DAG. The docstrings
of the functions are the tasks' documentation in Airflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from lakefeed.dag import names
from lakefeed.dag.request import request_of
from lakefeed.dag.task_errors import errors_for_airflow
from lakefeed.declaration.project import Project, open_project
from lakefeed.errors import BuildFailed, DeclarationError, LakefeedError

if TYPE_CHECKING:
    from lakefeed.orchestration.build.build_plan import BuildPlan, Layer
    from lakefeed.orchestration.reports.run_report import RunReport
    from lakefeed.transformation.dbt_adapter.runner import NodeResult

_NOTHING_NEW = "nothing new; dbt wasn't started"
_NOTHING_BUILT = "nothing was built, so there is nothing to publish"


def load_tables(root: str, lake_names: Sequence[str]) -> None:
    """Loads tables. Fails if any of them failed, after all others were loaded."""
    from lakefeed.dag.handover import push_catalogue, push_report
    from lakefeed.orchestration.ingest.load import load
    from lakefeed.orchestration.permissions import refuse_unwritable
    from lakefeed.render.report import ProgressLines, console, print_notes

    context = get_current_context()
    with errors_for_airflow():
        project = open_project(Path(root))
        refuse_unwritable(project)
        request = request_of(project, lake_names, context)
        out = console()
        project, report = load(project, request, ProgressLines(out))
        print_notes(out, report)
        push_report(context, report)
        push_catalogue(context, project, report)
        _describe_assets(context, project, report)
        _raise_table_errors(report)


def build_staging(root: str) -> None:
    """Builds and tests staging for the tables that were loaded. Skipped if nothing is new."""
    from lakefeed.dag.handover import project_of_run, push_plan

    context = get_current_context()
    with errors_for_airflow():
        project = project_of_run(context, root)
        plan = _plan_of_run(project, context)
        report = _build(project, plan, "staging", context)
        if report.build is not None:
            push_plan(context, plan.without_broken(report.build))
        _raise_build_errors(report)


def build_marts(root: str) -> None:
    """Builds and tests the models downstream of what was staged.

    Models downstream of a failed table or a failed test are held back.
    """
    from lakefeed.dag.handover import project_of_run, pull_plan

    context = get_current_context()
    with errors_for_airflow():
        plan = pull_plan(context, names.BUILD_STAGING)
        if plan is None:
            raise AirflowSkipException(f"{names.BUILD_STAGING} staged nothing")
        _raise_build_errors(_build(project_of_run(context, root), plan, "below staging", context))


def build_models(root: str) -> None:
    """Builds and tests staging and marts for the tables that were loaded.

    Fails only if dbt can't start. A model or test that fails is reported by the model's own task.
    """
    from lakefeed.dag.handover import project_of_run, push_plan

    context = get_current_context()
    with errors_for_airflow():
        project = project_of_run(context, root)
        plan = _plan_of_run(project, context)
        report = _build(project, plan, "all", context)
        if report.build_error is not None:
            raise report.build_error
        push_plan(context, plan)


def publish(root: str) -> None:
    """Publishes the build: replaces the warehouse that people query, in one step.

    Failed models and their descendants keep their last published version.
    """
    from lakefeed.dag.handover import project_of_run, pull_plan, push_report
    from lakefeed.orchestration.build.publish import publish as publish_build
    from lakefeed.orchestration.reports.run_report import RunReport
    from lakefeed.render.build import publication_line
    from lakefeed.render.report import console

    context = get_current_context()
    with errors_for_airflow():
        tasks = context["dag"].task_ids
        plan = pull_plan(context, names.BUILD if names.BUILD in tasks else names.BUILD_STAGING)
        if plan is None:
            raise AirflowSkipException(_NOTHING_BUILT)
        report = publish_build(project_of_run(context, root), plan.build, RunReport(()))
        console().print(publication_line(report))
        push_report(context, report)


def report_model(root: str, model: str) -> None:
    """Reports how the build of this model and its tests ended. To rebuild the model, clear it."""
    from lakefeed.dag.handover import pull_reports
    from lakefeed.orchestration.build.build import build_model

    context = get_current_context()
    with errors_for_airflow():
        if context["ti"].try_number > 1:
            nodes = build_model(open_project(Path(root)), model).nodes
        else:
            reports = pull_reports(context, [names.BUILD])
            nodes = tuple(n for r in reports if r.build for n in r.build.nodes if n.model == model)
        _print_nodes(nodes)
        if not any(node.name == model and node.status != "skipped" for node in nodes):
            raise AirflowSkipException(f"{model} wasn't built: it has nothing new or is held back")
        _raise_failed_nodes([node for node in nodes if node.failed])


def check_freshness(root: str) -> None:
    """Fails if the newest load of a table is older than its `freshness` allows."""
    import datetime as dt

    from lakefeed.orchestration.inspect.status import freshness
    from lakefeed.render.report import print_freshness

    with errors_for_airflow():
        rows = freshness(open_project(Path(root)), dt.datetime.now(dt.UTC))
    print_freshness(rows)
    late = [row.name for row in rows if row.freshness == "too late"]
    if late:
        raise AirflowFailException(f"the newest load is too old: {', '.join(late)}")


def report_run(root: str) -> None:
    """Reports the result of the run and adds it to the run history.

    Fails if any part of the run failed, since Airflow takes the state of a run from its last task.
    """
    import datetime as dt
    from dataclasses import replace

    from lakefeed.dag.handover import (
        merge_reports,
        pull_reports,
        states_of,
        with_unreported_tables,
    )
    from lakefeed.orchestration.reports.run_history import keep_run
    from lakefeed.render.report import console, print_run

    context = get_current_context()
    states, began = states_of(context), context["dag_run"].start_date
    seconds = (dt.datetime.now(dt.UTC) - began).total_seconds()
    report = with_unreported_tables(
        open_project(Path(root)), merge_reports(pull_reports(context, states)), states
    )
    report = replace(report, seconds=seconds)
    print_run(console(), report)
    ended = {name: states.get(name) for name in context["dag"].task_ids}
    failed = [name for name, state in ended.items() if state == "failed"]
    held_back = [name for name, state in ended.items() if state == "upstream_failed"]
    also = f"; held back: {', '.join(held_back)}" if held_back else ""
    failure = f"failed: {', '.join(failed)}{also}" if failed or held_back else ""
    # A task may have been killed before it could push a report.
    error = LakefeedError(failure) if failure and not report.exit_code else report.build_error
    keep_run(Path(root) / "data", "airflow", began, replace(report, build_error=error))
    if failure:
        raise AirflowFailException(
            f"{failure}. Downstream models keep their last published version until a run succeeds"
        )


def write_docs(root: str) -> None:
    """Writes the documentation site (`lakefeed docs`), including this run."""
    from lakefeed.render.report import console
    from lakefeed.site.writing import write_site

    with errors_for_airflow():
        site = write_site(open_project(Path(root)))
        console().print(f"wrote {site.report}", soft_wrap=True, markup=False)
        if site.lacks_dbt:
            raise site.lacks_dbt


def _describe_assets(context: Mapping[str, Any], project: Project, report: RunReport) -> None:
    """Adds the load's rows, files, checkpoint and ID to the event of each table's asset."""
    for table in report.tables:
        event = context["outlet_events"][names.asset_of(project.table(table.lake_name))]
        event.extra = {
            "rows": table.rows_written,
            "files": table.files,
            "checkpoint": table.checkpoint,
            "load_id": table.load_id,
        }


def _plan_of_run(project: Project, context: Mapping[str, Any]) -> BuildPlan:
    """The build plan for what this run has loaded.

    Raises:
        AirflowSkipException: there is nothing to build, or the warehouse is rolled back.
    """
    from lakefeed.dag.handover import failed_of, pull_reports, states_of
    from lakefeed.orchestration.build.build_plan import plan_build
    from lakefeed.orchestration.build.rollback import read_rollback
    from lakefeed.orchestration.reports.run_report import outcome_of

    if rollback := read_rollback(project):
        raise AirflowSkipException(rollback.warning)
    loads = names.loads_of(project)
    states = {name: state for name, state in states_of(context).items() if name in loads}
    tables = [table for report in pull_reports(context, states) for table in report.tables]
    status = {table.lake_name: table.status for table in tables}
    failed = [
        table.lake_name
        for name in failed_of(states)
        for table in loads[name]
        if status.get(table.lake_name, "failed") == "failed"
    ]
    brought, _, complete_through = outcome_of(tables)
    plan = plan_build(project, brought, failed, complete_through)
    if plan is None:
        raise AirflowSkipException(_NOTHING_NEW)
    return plan


def _build(
    project: Project, plan: BuildPlan, layer: Layer, context: Mapping[str, Any]
) -> RunReport:
    from lakefeed.dag.handover import push_report
    from lakefeed.orchestration.build.build import build_changed
    from lakefeed.orchestration.reports.run_report import RunReport

    report = build_changed(project, plan, RunReport(()), layer)
    push_report(context, report)
    if report.build is not None:
        _print_nodes(report.build.nodes)
    return report


def _print_nodes(nodes: Sequence[NodeResult]) -> None:
    from lakefeed.render.report import console
    from lakefeed.render.wording import node_line

    out = console()
    for node in nodes:
        out.print(node_line(node), soft_wrap=True)


def _raise_table_errors(report: RunReport) -> None:
    """Raises one error for all failed tables.

    It is a DeclarationError, which isn't retried, only if all of their errors are.
    """
    errors = [table.error for table in report.failures if table.error]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        kinds = {isinstance(error, DeclarationError) for error in errors}
        kind = DeclarationError if kinds == {True} else LakefeedError
        raise kind("\n".join(dict.fromkeys(str(error) for error in errors)))


def _raise_build_errors(report: RunReport) -> None:
    if report.build_error is not None:
        raise report.build_error
    if report.build is not None:
        _raise_failed_nodes(report.build.failures)


def _raise_failed_nodes(failures: Sequence[NodeResult]) -> None:
    if failures:
        lines = [f"{node.kind} {node.name}: {node.told}" for node in failures]
        raise BuildFailed(
            "\n".join(lines), do="downstream models keep their last published version"
        )
