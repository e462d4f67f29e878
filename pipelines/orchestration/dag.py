"""The Airflow DAG, from `sources.yaml` and its catalogue alone: parsing it connects to nothing.

    extract_postgres_to_raw [ a task per table ] -> raw_to_staging -> staging_to_marts -> report

The tasks call what the command line calls. dlt, dbt and DuckDB are imported inside them, since the
scheduler parses this over and over. The only module that knows Airflow.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import (
    DAG,
    Asset,
    CronDataIntervalTimetable,
    Param,
    TaskGroup,
    TriggerRule,
    get_current_context,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from pipelines.declaration.project import Project, open_project
from pipelines.declaration.tables import Table
from pipelines.errors import BuildFailed, DeclarationError, LakefeedError

if TYPE_CHECKING:
    from pipelines.orchestration.load import LoadRequest
    from pipelines.orchestration.report import RunReport

EXTRACT = "extract_postgres_to_raw"
STAGING = "raw_to_staging"
MARTS = "staging_to_marts"
REPORT = "report"

_RETRY_DELAY = dt.timedelta(minutes=1)
_FAILED = ("failed", "upstream_failed")
_PLAN = "plan"

log = logging.getLogger(__name__)


def build_dag(root: Path) -> DAG:
    """The DAG of the project in `root`.

    Raises:
        DeclarationError: with every mistake in `sources.yaml`, for Airflow to show.
    """
    project = open_project(root)
    declared = project.declaration.airflow
    with DAG(
        declared.dag_id,
        schedule=_timetable(declared.schedule),
        start_date=dt.datetime.combine(declared.start_date, dt.time(), dt.UTC),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": declared.owner},
        params=_params(),
        tags=set(declared.tags),
        doc_md=_dag_doc(project),
    ) as dag:
        # Without a prefix, so that a task is called what its table is called everywhere.
        with TaskGroup(EXTRACT, prefix_group_id=False) as extract:
            for table in project.tables:
                _load_task(project, table)
        staging = _closing_task(project, STAGING, _build_staging)
        marts = _closing_task(project, MARTS, _build_marts)
        report = _closing_task(project, REPORT, _report)
        extract >> staging >> marts >> report
    return dag


def _timetable(schedule: str | None) -> CronDataIntervalTimetable | None:
    """A bare cron string would give runs an interval of no length, and backfills an empty range."""
    return CronDataIntervalTimetable(schedule, timezone="UTC") if schedule else None


def _params() -> dict[str, Param]:
    kinds = ["null", "string"]
    start = "Load again from this cursor value on, such as 2026-01-31. Leaves the checkpoint alone."
    end = "Load again up to, not including, this cursor value. Needs `start`."
    return {
        "start": Param(None, type=kinds, description=start),
        "end": Param(None, type=kinds, description=end),
    }


def _load_task(project: Project, table: Table) -> None:
    PythonOperator(
        task_id=table.lake_name,
        python_callable=_load,
        op_args=[str(project.root), table.lake_name],
        retries=project.declaration.airflow.retries,
        retry_delay=_RETRY_DELAY,
        max_active_tis_per_dag=1,
        outlets=[_asset(table)],
        doc_md=_table_doc(table),
        show_return_value_in_logs=False,
    )


def _closing_task(project: Project, name: str, function: Callable[[str], None]) -> PythonOperator:
    """A task that runs whatever became of those before it.

    It isn't tried again: a failed model fails again, and the next run makes up for a killed build.
    """
    return PythonOperator(
        task_id=name,
        python_callable=function,
        op_args=[str(project.root)],
        retries=0,
        trigger_rule=TriggerRule.ALL_DONE,
        max_active_tis_per_dag=1,
        doc_md=function.__doc__,
    )


def _asset(table: Table) -> Asset:
    return Asset(name=table.lake_name, uri=f"x-lakefeed://{table.lake_name}")


def _dag_doc(project: Project) -> str:
    return (
        f"{len(project.tables)} tables of {', '.join(project.declaration.sources)}, declared in "
        "`sources.yaml`: PostgreSQL to raw Parquet, to staging, to marts."
    )


def _table_doc(table: Table) -> str:
    read = "read whole each time"
    if table.mode == "incremental" and table.settings.cursor:
        read = f"cursor `{table.settings.cursor.column}`"
    key = f"key `{', '.join(table.key)}`" if table.key else "no key"
    return f"`{table.qualified}` of `{table.source}`: {read}; {key}; declared at {table.where}."


def _load(root: str, lake_name: str) -> dict[str, Any]:
    """Loads one table, and returns its report; fails where the table did."""
    from pipelines.orchestration.load import load

    context = get_current_context()
    with _errors_for_airflow():
        project = open_project(Path(root))
        report = load(project, _request(project, lake_name, context))[1]
        for line in report.warnings:
            log.warning(line)
        table = report.tables[0]
        if table.error is not None:
            raise table.error
    for note in table.notes:
        log.warning(note)
    log.info(
        "%s: %s rows read, %s written, %s deleted; checkpoint %s",
        *(table.name, table.rows_read, table.rows_written, table.rows_deleted, table.checkpoint),
    )
    event = context["outlet_events"][_asset(project.table(lake_name))]
    event.extra = {"rows": table.rows_written, "load_id": table.load_id}
    return dict(report.as_json()["tables"][0])


def _request(project: Project, lake_name: str, context: Mapping[str, Any]) -> LoadRequest:
    """From the checkpoint on; or the range that the params or a backfill give.

    Raises:
        AirflowSkipException: there is a range, and it says nothing of this table.
        DeclarationError: the range is wrong.
    """
    from pipelines.orchestration.backfill import parse_range
    from pipelines.orchestration.load import LoadRequest

    since, until = context["params"]["start"] or None, context["params"]["end"] or None
    if since is None and context["dag_run"].run_type == "backfill":
        since = context["data_interval_start"].isoformat()
        until = context["data_interval_end"].isoformat()
    asked = parse_range(since, until)
    if asked is not None:
        _skip_outside(project.table(lake_name), is_number=isinstance(asked.since, int))
    return LoadRequest(select=(lake_name,), since=since, until=until)


def _skip_outside(table: Table, *, is_number: bool) -> None:
    from pipelines.source.types import cursor_kind

    if table.cursor is None:
        raise AirflowSkipException(f"{table.shown} has no cursor column: it has no range")
    known = table.catalogue.column(table.cursor.column) if table.catalogue else None
    if known is not None and (cursor_kind(known.type) == "number") != is_number:
        raise AirflowSkipException(
            f"the cursor of {table.shown} is {known.type}: this range says nothing of it"
        )


def _build_staging(root: str) -> None:
    """Stages what was loaded, of the tables that didn't fail. Skipped where nothing is new."""
    from pipelines.orchestration.build import build_changed, plan_build
    from pipelines.orchestration.report import RunReport

    context = get_current_context()
    states = _states(context)
    with _errors_for_airflow():
        project = open_project(Path(root))
        names = [table.lake_name for table in project.tables if table.lake_name in states]
        told = context["ti"].xcom_pull(task_ids=names)
        brought = [table["lake_name"] for table in told if table and table["status"] == "loaded"]
        plan = plan_build(project, brought, [name for name in names if states[name] in _FAILED])
        if plan is None:
            raise AirflowSkipException("nothing new: dbt wasn't started")
        report = build_changed(project, plan, RunReport(()), "staging")
        if report.build is not None:
            handed_on = plan.without_broken(report.build)
            context["ti"].xcom_push(key=_PLAN, value=asdict(handed_on))
        _raise_failures(report)


def _build_marts(root: str) -> None:
    """Builds and tests the models below what was staged, less those below what failed."""
    from pipelines.orchestration.build import BuildPlan, build_changed
    from pipelines.orchestration.report import RunReport

    handed_on = get_current_context()["ti"].xcom_pull(task_ids=STAGING, key=_PLAN)
    if handed_on is None:
        raise AirflowSkipException(f"{STAGING} staged nothing: dbt wasn't started")
    with _errors_for_airflow():
        project, plan = open_project(Path(root)), BuildPlan(**handed_on)
        _raise_failures(build_changed(project, plan, RunReport(()), "below staging"))


def _report(_root: str) -> None:
    """Says how the run ended: red where any part of it failed, for a run is as its last task is."""
    states = _states(get_current_context())
    failed = [name for name, state in states.items() if state in _FAILED]
    if failed:
        raise AirflowFailException(
            f"failed: {', '.join(failed)}. Models below keep what they held; the next run that "
            "succeeds makes up for it"
        )
    log.info("nothing failed")


def _states(context: Mapping[str, Any]) -> dict[str, str | None]:
    """The state of each task of this run."""
    run = context["dag_run"]
    found = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id])
    return dict(found.get(run.run_id, {}))


def _raise_failures(report: RunReport) -> None:
    if report.build_error is not None:
        raise report.build_error
    if report.build is None:
        return
    for node in report.build.nodes:
        log.info("%s %s: %s (%.1f s)", node.kind, node.name, node.status, node.seconds)
    if report.build.failures:
        told = [f"{node.kind} {node.name}: {node.message}" for node in report.build.failures]
        raise BuildFailed("\n".join(told), do="what lies below was left as it is")


@contextmanager
def _errors_for_airflow() -> Iterator[None]:
    """What we raise on purpose, as one message without our traceback.

    A wrong declaration is not tried again: it stays wrong until somebody edits it.
    """
    try:
        yield
    except DeclarationError as error:
        raise AirflowFailException(str(error)) from None
    except LakefeedError as error:
        raise AirflowException(str(error)) from None
