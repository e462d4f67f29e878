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
from lakefeed.dag.outcomes import (
    emit_events,
    print_nodes,
    raise_build_errors,
    raise_failed_nodes,
    raise_table_errors,
)
from lakefeed.dag.request import request_of
from lakefeed.dag.task_errors import errors_for_airflow
from lakefeed.declaration.environment.variables import data_folder
from lakefeed.declaration.project import Project, open_project
from lakefeed.errors import LakefeedError, Overtaken
from lakefeed.orchestration.project.dags import tables_of_dags

if TYPE_CHECKING:
    from lakefeed.orchestration.build.build_plan import BuildPlan, Layer
    from lakefeed.orchestration.reports.run_report import RunReport

_NOTHING_NEW = "nothing new; dbt wasn't started"
_NOTHING_BUILT = "nothing was built, so there is nothing to publish"


def load_tables(root: str, lake_names: Sequence[str]) -> None:
    """Loads tables. Fails if any of them failed, after all others were loaded."""
    from lakefeed.dag.handover import push_catalogue, push_report
    from lakefeed.orchestration.ingest.load import load
    from lakefeed.orchestration.permissions import refuse_unwritable
    from lakefeed.render.progress import ProgressLines
    from lakefeed.render.report import console, print_notes

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
        emit_events(context, project, report)
        raise_table_errors(report)


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
        raise_build_errors(report)


def build_marts(root: str) -> None:
    """Builds and tests the models downstream of what was staged.

    Models downstream of a failed table or a failed test are held back. If another build has begun
    since staging was built, which discards it, both are built again.
    """
    from lakefeed.dag.handover import project_of_run, pull_plan, push_plan

    context = get_current_context()
    with errors_for_airflow():
        plan = pull_plan(context, names.BUILD_STAGING)
        if plan is None:
            raise AirflowSkipException(f"{names.BUILD_STAGING} staged nothing")
        project = project_of_run(context, root)
        try:
            report = _build(project, plan, "below staging", context)
        except Overtaken:
            plan = _plan_of_run(project, context)
            report = _build(project, plan, "all", context)
            push_plan(context, plan)
        raise_build_errors(report)


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

    Failed models and their descendants keep their last published version. If another build has
    begun since this one, which discards it, this one is built again.
    """
    from lakefeed.dag.handover import project_of_run, pull_plan, push_report
    from lakefeed.orchestration.build.build import build_and_publish
    from lakefeed.orchestration.build.publish import publish as publish_build
    from lakefeed.orchestration.reports.run_report import RunReport
    from lakefeed.render.build import publication_line
    from lakefeed.render.report import console

    context = get_current_context()
    with errors_for_airflow():
        steps = [names.BUILD, names.BUILD_MARTS, names.BUILD_STAGING]
        plan = next(filter(None, (pull_plan(context, step) for step in steps)), None)
        if plan is None:
            raise AirflowSkipException(_NOTHING_BUILT)
        project = project_of_run(context, root)
        try:
            report = publish_build(project, plan.build, RunReport(()))
        except Overtaken:
            report = build_and_publish(project, _plan_of_run(project, context), RunReport(()))
            print_nodes(report.build.nodes if report.build else ())
        console().print(publication_line(report))
        push_report(context, report)
        raise_build_errors(report)


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
        print_nodes(nodes)
        if not any(node.name == model and node.status != "skipped" for node in nodes):
            raise AirflowSkipException(f"{model} wasn't built: it has nothing new or is held back")
        raise_failed_nodes([node for node in nodes if node.failed])


def check_freshness(root: str) -> None:
    """Fails if the newest load of a table is older than its `freshness` allows."""
    import datetime as dt

    from lakefeed.orchestration.inspect.status import freshness
    from lakefeed.orchestration.log.slot_states import slot_states
    from lakefeed.render.report import print_freshness

    with errors_for_airflow():
        project = open_project(Path(root))
        tables = tables_of_dags(project)[get_current_context()["dag_run"].dag_id]
        rows = freshness(project, tables, dt.datetime.now(dt.UTC))
        slots = slot_states(project, tables)
    print_freshness(rows, slots)
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
    loads = names.loads_of(open_project(Path(root)), context["dag_run"].dag_id)
    report = with_unreported_tables(loads, merge_reports(pull_reports(context, states)), states)
    report = replace(report, seconds=seconds)
    print_run(console(), report)
    ended = {name: states.get(name) for name in context["dag"].task_ids}
    failed = [name for name, state in ended.items() if state == "failed"]
    held_back = [name for name, state in ended.items() if state == "upstream_failed"]
    also = f"; held back: {', '.join(held_back)}" if held_back else ""
    failure = f"failed: {', '.join(failed)}{also}" if failed or held_back else ""
    # A task may have been killed before it could push a report.
    error = LakefeedError(failure) if failure and not report.exit_code else report.build_error
    keep_run(data_folder(Path(root)), "airflow", began, replace(report, build_error=error))
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
    loads = names.loads_of(project, context["dag_run"].dag_id)
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
    of_dag = {table.lake_name for tables in loads.values() for table in tables}
    within = of_dag if project.declaration.airflow.dags else None
    plan = plan_build(project, brought, failed, complete_through, within=within)
    if plan is None:
        raise AirflowSkipException(_NOTHING_NEW)
    return plan


def _build(
    project: Project, plan: BuildPlan, layer: Layer, context: Mapping[str, Any]
) -> RunReport:
    from lakefeed.dag.handover import push_report
    from lakefeed.orchestration.build.build import build_changed
    from lakefeed.orchestration.reports.run_report import RunReport

    report = build_changed(project, plan, RunReport((), warnings=plan.edits), layer)
    push_report(context, report)
    if report.build is not None:
        print_nodes(report.build.nodes)
    return report
