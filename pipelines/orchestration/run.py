"""`lakefeed run`: load, build what changed, publish it. The DAG does the same, task by task."""

from __future__ import annotations

import time
from dataclasses import replace

from pipelines.declaration.project import Project
from pipelines.orchestration.build import build_and_publish
from pipelines.orchestration.load import Listener, LoadRequest, load
from pipelines.orchestration.plan import plan_build
from pipelines.orchestration.report import RunReport, news_of
from pipelines.orchestration.rollback import read_rollback


def run(project: Project, request: LoadRequest, listener: Listener | None = None) -> RunReport:
    """Loads the selected tables, builds the models below those that brought rows, publishes them.

    While the warehouse is rolled back it loads, and builds nothing.

    Raises:
        DeclarationError: a selector or the backfill's range is wrong.
    """
    started = time.monotonic()
    project, report = load(project, request, listener)
    rollback = read_rollback(project)
    if rollback:
        report = replace(report, warnings=(*report.warnings, rollback.warning))
    elif plan := plan_build(project, *news_of(report.tables)):
        report = build_and_publish(project, plan, report)
    return replace(report, seconds=time.monotonic() - started)
