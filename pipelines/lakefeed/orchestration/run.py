"""`lakefeed run`, `load` and `build`: each from start to finish, recorded for `lakefeed docs`.

The DAG performs the steps of `lakefeed run` as separate tasks.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.errors import LakefeedError
from lakefeed.orchestration.build.build import build_all, build_and_publish
from lakefeed.orchestration.build.build_plan import plan_build
from lakefeed.orchestration.build.rollback import read_rollback
from lakefeed.orchestration.ingest.load import load
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.permissions import refuse_unwritable
from lakefeed.orchestration.reports.listener import Listener
from lakefeed.orchestration.reports.run_history import keep_run
from lakefeed.orchestration.reports.run_report import RunReport, outcome_of


def run(project: Project, request: LoadRequest, listener: Listener | None = None) -> RunReport:
    """Loads the selected tables, then builds and publishes the models downstream of new rows.

    While the warehouse is rolled back, it only loads.

    Raises:
        DeclarationError: a selector or the backfill's range is invalid.
        Refused: another run has been building for too long, or publishes at the same time.
    """
    refuse_unwritable(project)
    began, started = dt.datetime.now(dt.UTC), time.monotonic()
    project, report = load(project, request, listener)
    try:
        report = _build(project, report)
    except LakefeedError as error:
        seconds = time.monotonic() - started
        keep_run(project.data, "run", began, replace(report, build_error=error, seconds=seconds))
        raise
    report = replace(report, seconds=time.monotonic() - started)
    return keep_run(project.data, "run", began, report)


def load_alone(
    project: Project, request: LoadRequest, listener: Listener | None = None
) -> RunReport:
    """Loads the selected tables into raw without building.

    Raises:
        DeclarationError: a selector or the backfill's range is invalid.
    """
    refuse_unwritable(project, builds=False)
    began = dt.datetime.now(dt.UTC)
    project, report = load(project, request, listener)
    return keep_run(project.data, "load", began, report)


def build_alone(project: Project) -> RunReport:
    """Builds, tests and publishes every model from raw, without loading.

    Raises:
        BuildFailed: the generated models are out of date, or dbt could not start.
        Refused: the warehouse is rolled back.
    """
    refuse_unwritable(project, loads=False)
    began, started = dt.datetime.now(dt.UTC), time.monotonic()
    report = replace(build_all(project), seconds=time.monotonic() - started)
    return keep_run(project.data, "build", began, report)


def _build(project: Project, report: RunReport) -> RunReport:
    rollback = read_rollback(project)
    if rollback:
        return replace(report, warnings=(*report.warnings, rollback.warning))
    plan = plan_build(project, *outcome_of(report.tables))
    if plan is None:
        return report
    report = replace(report, warnings=(*report.warnings, *plan.edits))
    return build_and_publish(project, plan, report)
