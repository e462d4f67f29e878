"""Loads the selected tables into raw, and brings the project up to date with their sources."""

from __future__ import annotations

import time

from lakefeed.declaration.project import Project
from lakefeed.loading.dlt_settings.environment import import_pandas, prepare_dlt
from lakefeed.loading.plan.backfill import parse_range
from lakefeed.loading.raw.commit_log import forget_what_was_read
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.ingest.source_run import SourceRun
from lakefeed.orchestration.project.catalogue_sync import LiveSource, adopt
from lakefeed.orchestration.project.selection import select_active
from lakefeed.orchestration.reports.listener import Listener, Silence
from lakefeed.orchestration.reports.run_report import RunReport, TableReport


def load(
    project: Project, request: LoadRequest, listener: Listener | None = None
) -> tuple[Project, RunReport]:
    """Loads the selected tables into raw and returns the project with its updated catalogue.

    Side effects: writes raw files, dlt state, the catalogue and the generated models.

    Raises:
        DeclarationError: a selector or the range is invalid, or a range is combined with a full
            refresh.
    """
    started = time.monotonic()
    selected = select_active(project, request.select)
    parse_range(request.since, request.until, full_refresh=request.full_refresh)
    listener = listener or Silence()
    prepare_dlt(project.root)
    import_pandas()
    forget_what_was_read()
    reports: list[TableReport] = []
    warnings: list[str] = []
    live: dict[str, LiveSource] = {}
    for source in project.declaration.sources:
        wanted = [table for table in selected if table.source == source]
        if wanted or not (request.select or project.is_idle(source)):
            run = SourceRun(project, source, request, listener)
            reports += run.load(wanted)
            warnings += run.warnings
            if run.live:
                live[source] = run.live
    if not project.active:
        warnings.append("every table is paused (`enabled: false`)")
    project, synced = adopt(project, live, selected if request.select else None)
    seconds = time.monotonic() - started
    drift = tuple(line for found in live.values() for line in found.drift)
    report = RunReport(
        tuple(reports), (*warnings, *drift), tuple(synced), seconds=seconds, drift=drift
    )
    return project, report
