"""`lakefeed run`: load, then dbt for what changed. The DAG does the same, task by task."""

from __future__ import annotations

import time
from dataclasses import replace

from pipelines.declaration.project import Project
from pipelines.orchestration.build import build_changed, plan_build
from pipelines.orchestration.load import Listener, LoadRequest, load
from pipelines.orchestration.report import RunReport


def run(project: Project, request: LoadRequest, listener: Listener | None = None) -> RunReport:
    """Loads the selected tables and builds the models below those that brought rows.

    Raises:
        DeclarationError: a selector or the backfill's range is wrong.
    """
    started = time.monotonic()
    project, report = load(project, request, listener)
    brought = [table.lake_name for table in report.tables if table.status == "loaded"]
    failed = [table.lake_name for table in report.failures]
    plan = plan_build(project, brought, failed)
    if plan is not None:
        report = build_changed(project, plan, report)
    return replace(report, seconds=time.monotonic() - started)
