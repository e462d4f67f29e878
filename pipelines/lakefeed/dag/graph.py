"""The DAG, from `sources.yaml` and its catalogue alone: parsing it connects to nothing.

    extract_postgres_to_raw [ loads ] ─▶ raw_to_staging ─▶ staging_to_marts ─▶ publish ─▶ report
                                      └▶ freshness ──────────────────────────────────────┘

dlt, dbt and DuckDB are imported inside the tasks, since the scheduler parses this over and over.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, TaskGroup, TriggerRule, literal
from airflow.sdk.definitions.param import ParamsDict

from lakefeed.dag import names, tasks
from lakefeed.dag.alerts import deadline_of, notifiers_of
from lakefeed.dag.request import form_of
from lakefeed.declaration.project import Project, open_project
from lakefeed.declaration.tables import Table
from lakefeed.transformation.manifest import Model, read_models

_RETRY_DELAY = dt.timedelta(minutes=1)


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
        tags=set(declared.tags),
        deadline=deadline_of(project),
        doc_md=_dag_doc(project),
    ) as dag:
        # Without a prefix, so that a task is called what its table is called everywhere.
        with TaskGroup(names.EXTRACT, prefix_group_id=False) as extract:
            loads = {
                name: _load_task(project, name, tables)
                for name, tables in names.loads_of(project).items()
            }
        report = _after_all(project, names.REPORT, tasks.report_run)
        report.on_failure_callback = notifiers_of(project)
        models = read_models(project) if declared.transform == "per_model" else ()
        if models:
            _draw_models(project, models, loads, report)
        else:
            _draw_layers(project, extract, report)
        if any(table.settings.freshness for table in project.tables):
            extract >> _after_all(project, names.FRESHNESS, tasks.check_freshness) >> report
        if declared.docs:
            # After the report, so that the run is in it; as a teardown, so that the run still ends
            # as its report does.
            report >> _after_all(project, names.DOCS, tasks.write_docs).as_teardown()
    # Not before: each task would take a deep copy of it, a third of what parsing 200 tables costs.
    dag.params = ParamsDict(form_of(project))
    return dag


def _timetable(schedule: str | None) -> CronDataIntervalTimetable | None:
    """A bare cron string would give runs an interval of no length, and backfills an empty range."""
    return CronDataIntervalTimetable(schedule, timezone="UTC") if schedule else None


def _load_task(project: Project, name: str, tables: Sequence[Table]) -> PythonOperator:
    return PythonOperator(
        task_id=name,
        python_callable=tasks.load_tables,
        op_args=[_root(project), [table.lake_name for table in tables]],
        retries=project.declaration.airflow.retries,
        retry_delay=_RETRY_DELAY,
        max_active_tis_per_dag=1,
        outlets=[names.asset_of(table) for table in tables],
        doc_md="\n\n".join(_table_doc(table) for table in tables),
    )


def _root(project: Project) -> Any:
    """The project's folder; Airflow takes it for a template otherwise."""
    return literal(str(project.root)) if "{" in str(project.root) else str(project.root)


def _after_all(project: Project, name: str, function: Callable[[str], None]) -> PythonOperator:
    """A task that runs whatever became of those before it.

    It isn't tried again: a failed model fails again, and the next run makes up for a killed build.
    """
    return PythonOperator(
        task_id=name,
        python_callable=function,
        op_args=[_root(project)],
        retries=0,
        trigger_rule=TriggerRule.ALL_DONE,
        max_active_tis_per_dag=1,
        doc_md=function.__doc__,
    )


def _draw_layers(project: Project, extract: TaskGroup, report: PythonOperator) -> None:
    with TaskGroup(names.STAGING, prefix_group_id=False) as staging:
        _after_all(project, names.BUILD_STAGING, tasks.build_staging)
    with TaskGroup(names.MARTS, prefix_group_id=False) as marts:
        _after_all(project, names.BUILD_MARTS, tasks.build_marts)
    extract >> staging >> marts >> _after_all(project, names.PUBLISH, tasks.publish) >> report


def _draw_models(
    project: Project,
    models: Sequence[Model],
    loads: Mapping[str, PythonOperator],
    report: PythonOperator,
) -> None:
    """One build, and behind it a task for each model that ends as the model did.

    A model below a table that failed is shown as held back. Where one task loads several tables
    that can't be drawn, since the others of them may be well. Seeds aren't drawn: no run builds
    them.
    """
    build = _after_all(project, names.BUILD, tasks.build_models)
    list(loads.values()) >> build >> _after_all(project, names.PUBLISH, tasks.publish) >> report
    with TaskGroup(names.STAGING, prefix_group_id=False) as staging:
        pass
    with TaskGroup(names.MARTS, prefix_group_id=False) as marts:
        pass
    drawn: dict[str, PythonOperator] = {}
    for model in (one for one in models if not one.is_seed):
        above = [drawn[name] for name in model.reads_models if name in drawn]
        above += [loads[name] for name in model.reads_tables if name in loads]
        drawn[model.name] = PythonOperator(
            task_id=model.name,
            python_callable=tasks.show_model,
            op_args=[_root(project), model.name],
            trigger_rule=TriggerRule.NONE_FAILED,
            task_group=staging if model.is_staging else marts,
            doc_md=model.description,
        )
        [build, *above] >> drawn[model.name] >> report


def _dag_doc(project: Project) -> str:
    sources = ", ".join(f"`{name}`" for name in project.declaration.sources)
    return f"""\
Loads {len(project.tables)} tables of {sources} as `sources.yaml` declares them.

1. **{names.EXTRACT}** reads what is new in each table and appends it to the raw Parquet files.
2. **{names.STAGING}** and **{names.MARTS}** build and test the dbt models below tables that brought
   rows, in a copy of the warehouse. They are skipped when nothing is new.
3. **{names.PUBLISH}** puts that copy in the warehouse's place. Models below a failed table or a
   failed test keep their last published version.
4. **{names.REPORT}** sums the run up, and fails if any part of it failed.

A failed task can be cleared and run again at any time: nothing is lost and nothing is doubled.
Trigger the DAG with parameters to load some tables only, to read them whole, or to load a range
again; none of these moves a checkpoint back.
"""


def _table_doc(table: Table) -> str:
    read = "read whole each time"
    if table.mode == "incremental" and table.settings.cursor:
        read = f"cursor `{table.settings.cursor.column}`"
    key = f"key `{', '.join(table.key)}`" if table.key else "no key"
    return f"`{table.qualified}` of `{table.source}`: {read}; {key}; declared at {table.where}."
