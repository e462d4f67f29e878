"""What a run would load, without loading it. Queries each source, but reads no rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError
from lakefeed.loading.forecast.planned_load import LoadPreview
from lakefeed.loading.forecast.preview import preview_failed, preview_load
from lakefeed.loading.plan.backfill import parse_range
from lakefeed.orchestration.ingest.live_tables import LiveTables
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.permissions import refuse_missing
from lakefeed.orchestration.project.catalogue_sync import read_live
from lakefeed.orchestration.project.selection import select_active
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.snapshot import Snapshot, open_snapshot


def preview_loads(
    project: Project, request: LoadRequest, *, with_estimates: bool = False
) -> list[LoadPreview]:
    """What `load` would read for this request.

    Connects to each source to learn its tables, their columns and the transactions in flight.
    Changes nothing.

    Args:
        with_estimates: also ask each source's planner how much that is.

    Raises:
        DeclarationError: a selector or the range is invalid, or a range is combined with a full
            refresh.
        StorageFailed: a symbolic link points to a missing folder.
    """
    refuse_missing(project)
    selected = select_active(project, request.select)
    parse_range(request.since, request.until, full_refresh=request.full_refresh)
    previews: list[LoadPreview] = []
    for source in project.declaration.sources:
        tables = [table for table in selected if table.source == source]
        if tables or not (request.select or project.is_idle(source)):
            previews += _previews_of(
                project, source, tables, request, with_estimates=with_estimates
            )
    return previews


def _previews_of(
    project: Project,
    source: str,
    tables: Sequence[Table],
    request: LoadRequest,
    *,
    with_estimates: bool,
) -> list[LoadPreview]:
    try:
        # It asks for a moment, and waits for no other run.
        connection = replace(connection_of(project, source), most=None)
        with open_snapshot(connection, holds=False) as (snapshot, session):
            now = LiveTables(project, source, read_live(session, project, source))
            if request.select:
                tables = now.current(tables)
            else:
                tables = [table for table in now.active() if request.covers(table)]
            asked = session if with_estimates else None
            return [_preview(now, table, snapshot, request, asked) for table in tables]
    except LakefeedError as error:
        return [preview_failed(table, error) for table in tables]


def _preview(
    now: LiveTables,
    table: Table,
    snapshot: Snapshot,
    request: LoadRequest,
    session: PgConnection | None,
) -> LoadPreview:
    try:
        plan = now.plan(table)
        preview = preview_load(now.project, plan, snapshot, request.options_for(plan), session)
        return replace(preview, drift=tuple(now.drift_of(table)))
    except LakefeedError as error:
        return preview_failed(table, error)
