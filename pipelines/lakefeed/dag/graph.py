"""Builds the DAG from `sources.yaml` and its catalogue; parsing opens no connection.

    extract_postgres_to_raw [ loads ] ─▶ raw_to_staging ─▶ staging_to_marts ─▶ publish ─▶ report
                                      └▶ freshness ──────────────────────────────────────┘

dlt, dbt and DuckDB are imported within the tasks, since Airflow parses this module every few
seconds.
"""

from __future__ import annotations

import datetime as dt
import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, TaskGroup, TriggerRule, literal
from airflow.sdk.definitions.param import ParamsDict

from lakefeed.dag import names, tasks
from lakefeed.dag.alerts import deadline_of, notifiers_of
from lakefeed.dag.docs import dag_doc, table_doc
from lakefeed.dag.lineage import (
    Lineage,
    TracedOperator,
    lineage_of_layer,
    lineage_of_loads,
    lineage_of_model,
)
from lakefeed.dag.request import form_of
from lakefeed.declaration.project import Project, open_project
from lakefeed.declaration.table import Table
from lakefeed.orchestration.project.dags import tables_of_dags
from lakefeed.transformation.kept_models import kept_models
from lakefeed.transformation.manifest import Model, fed_by

_RETRY_DELAY = dt.timedelta(minutes=1)


def build_dag(root: Path) -> DAG:
    """The DAG of the project in `root`; of several, the first.

    Airflow finds the others by itself, as it does all DAGs that are used in a `with` statement
    (https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dags.html).

    Raises:
        DeclarationError: with every mistake in `sources.yaml`; Airflow shows it as an import error.
    """
    return next(iter(build_dags(root).values()))


def build_dags(root: Path) -> dict[str, DAG]:
    """The DAGs of the project in `root`, by ID; see `build_dag`."""
    with _without_collecting():
        project = open_project(root)
        models = kept_models(project)
        return {
            dag_id: _build(project, dag_id, tables, models)
            for dag_id, tables in tables_of_dags(project).items()
        }


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Collects no garbage within the block, which makes none.

    With hundreds of tables, the collector would look through all of Airflow's objects over and
    over: a quarter of the time that parsing takes.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _build(
    project: Project, dag_id: str, tables: Sequence[Table], all_models: Sequence[Model]
) -> DAG:
    declared = project.declaration.airflow
    own = declared.dags.get(dag_id, declared)
    with DAG(
        dag_id,
        schedule=_timetable(own.schedule),
        start_date=dt.datetime.combine(declared.start_date, dt.time(), dt.UTC),
        catchup=False,
        max_active_runs=1,
        default_args={"owner": declared.owner},
        tags=set(own.tags),
        deadline=deadline_of(own.deadline, declared.notify),
        doc_md=dag_doc(project, tables, all_models),
    ) as dag:
        # Without the group's prefix, a task has the same name as its table has everywhere.
        with TaskGroup(names.EXTRACT, prefix_group_id=False) as extract:
            loads = {
                name: _load_task(project, name, loaded)
                for name, loaded in names.loads_of(project, dag_id).items()
            }
        report = _after_all(project, names.REPORT, tasks.report_run)
        report.on_failure_callback = notifiers_of(project)
        per_model = declared.transform == "per_model"
        lake_names = [table.lake_name for table in tables]
        models = fed_by(all_models, lake_names) if per_model else ()
        if models:
            _draw_models(project, models, loads, report)
        else:
            _draw_layers(project, lake_names, extract, report)
        if any(table.settings.freshness for table in tables):
            extract >> _after_all(project, names.FRESHNESS, tasks.check_freshness) >> report
        if declared.docs:
            # After the report, so that the site includes this run; as a teardown, so that the state
            # of the run still is that of its report.
            report >> _after_all(project, names.DOCS, tasks.write_docs).as_teardown()
    # Set last: each task deep-copies the DAG's params, a third of the time to parse 200 tables.
    dag.params = ParamsDict(form_of(project, tables, all_models))
    return dag


def _timetable(schedule: str | None) -> CronDataIntervalTimetable | None:
    """The schedule as a timetable with data intervals, which backfills take their range from.

    For a plain cron string, Airflow 3 gives runs an empty interval.
    """
    return CronDataIntervalTimetable(schedule, timezone="UTC") if schedule else None


def _load_task(project: Project, name: str, tables: Sequence[Table]) -> PythonOperator:
    lake_names = [table.lake_name for table in tables]
    return TracedOperator(
        task_id=name,
        python_callable=tasks.load_tables,
        lineage=partial(lineage_of_loads, project.root, lake_names),
        op_args=[_root(project), lake_names],
        retries=project.declaration.airflow.retries,
        retry_delay=_RETRY_DELAY,
        max_active_tis_per_dag=1,
        outlets=names.outlets_of(project, tables),
        doc_md="\n\n".join(table_doc(table) for table in tables),
    )


def _root(project: Project) -> Any:
    """The project folder, protected from being rendered as a Jinja template."""
    return literal(str(project.root)) if "{" in str(project.root) else str(project.root)


def _after_all(
    project: Project,
    name: str,
    function: Callable[[str], None],
    lineage: Callable[[], Lineage] | None = None,
) -> PythonOperator:
    """A task that runs whether its upstream tasks succeeded or not.

    It isn't retried: a failed model would fail again, and the next run makes up for a killed build.
    """
    return TracedOperator(
        task_id=name,
        python_callable=function,
        lineage=lineage,
        op_args=[_root(project)],
        retries=0,
        trigger_rule=TriggerRule.ALL_DONE,
        max_active_tis_per_dag=1,
        doc_md=function.__doc__,
    )


def _draw_layers(
    project: Project, lake_names: Sequence[str], extract: TaskGroup, report: PythonOperator
) -> None:
    of_layer = partial(lineage_of_layer, project.root, lake_names)
    with TaskGroup(names.STAGING, prefix_group_id=False) as staging:
        lineage = partial(of_layer, is_staging=True)
        _after_all(project, names.BUILD_STAGING, tasks.build_staging, lineage)
    with TaskGroup(names.MARTS, prefix_group_id=False) as marts:
        lineage = partial(of_layer, is_staging=False)
        _after_all(project, names.BUILD_MARTS, tasks.build_marts, lineage)
    extract >> staging >> marts >> _after_all(project, names.PUBLISH, tasks.publish) >> report


def _draw_models(
    project: Project,
    models: Sequence[Model],
    loads: Mapping[str, PythonOperator],
    report: PythonOperator,
) -> None:
    """Adds one task that builds all models, and a task per model that takes over its state.

    Models downstream of a failed table show as `upstream_failed`. That needs a task per table: with
    `load: per_source`, the other tables of a failed task may have been loaded. Seeds have no task,
    since runs don't build them.
    """
    build = _after_all(project, names.BUILD, tasks.build_models)
    list(loads.values()) >> build >> _after_all(project, names.PUBLISH, tasks.publish) >> report
    with TaskGroup(names.STAGING, prefix_group_id=False) as staging:
        pass
    with TaskGroup(names.MARTS, prefix_group_id=False) as marts:
        pass
    drawn: dict[str, PythonOperator] = {}
    for model in (model for model in models if not model.is_seed):
        upstream = [drawn[name] for name in model.reads_models if name in drawn]
        upstream += [loads[name] for name in model.reads_tables if name in loads]
        drawn[model.name] = TracedOperator(
            task_id=model.name,
            python_callable=tasks.report_model,
            lineage=partial(lineage_of_model, project.root, model.name),
            op_args=[_root(project), model.name],
            trigger_rule=TriggerRule.NONE_FAILED,
            task_group=staging if model.is_staging else marts,
            doc_md=model.description,
        )
        [build, *upstream] >> drawn[model.name] >> report
