"""The commands that do something, each from beginning to end, and kept for `lakefeed docs`.

`lakefeed run`: load, build what changed, publish it. The DAG does the same, task by task.
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
from lakefeed.orchestration.ingest.load import LoadRequest, load
from lakefeed.orchestration.permissions import refuse_unwritable
from lakefeed.orchestration.reports.listener import Listener
from lakefeed.orchestration.reports.run_history import keep_run
from lakefeed.orchestration.reports.run_report import RunReport, news_of


def run(project: Project, request: LoadRequest, listener: Listener | None = None) -> RunReport:
    """Loads the selected tables, builds the models below those that brought rows, publishes them.

    While the warehouse is rolled back it loads, and builds nothing.

    Raises:
        DeclarationError: a selector or the backfill's range is wrong.
        Refused: another run has been building for long, or publishes at the same time.
    """
    refuse_unwritable(project)
    began, started = dt.datetime.now(dt.UTC), time.monotonic()
    project, report = load(project, request, listener)
    try:
        report = _built(project, report)
    except LakefeedError as error:
        seconds = time.monotonic() - started
        keep_run(project.data, "run", began, replace(report, build_error=error, seconds=seconds))
        raise
    report = replace(report, seconds=time.monotonic() - started)
    return keep_run(project.data, "run", began, report)


def load_alone(
    project: Project, request: LoadRequest, listener: Listener | None = None
) -> RunReport:
    """Loads the selected tables into raw, and builds nothing.

    Raises:
        DeclarationError: a selector or the backfill's range is wrong.
    """
    refuse_unwritable(project, builds=False)
    began = dt.datetime.now(dt.UTC)
    project, report = load(project, request, listener)
    return keep_run(project.data, "load", began, report)


def build_alone(project: Project) -> RunReport:
    """Builds and tests every model from raw, without loading, and publishes them.

    Raises:
        BuildFailed: the generated models don't fit the declaration, or dbt could not start.
        Refused: the warehouse is rolled back.
    """
    refuse_unwritable(project, loads=False)
    began, started = dt.datetime.now(dt.UTC), time.monotonic()
    report = replace(build_all(project), seconds=time.monotonic() - started)
    return keep_run(project.data, "build", began, report)


def _built(project: Project, report: RunReport) -> RunReport:
    rollback = read_rollback(project)
    if rollback:
        return replace(report, warnings=(*report.warnings, rollback.warning))
    plan = plan_build(project, *news_of(report.tables))
    return build_and_publish(project, plan, report) if plan else report
