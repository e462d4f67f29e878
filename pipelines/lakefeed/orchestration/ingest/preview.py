"""What a run would load, without loading it: each source is asked, and no row is read."""

from __future__ import annotations

from collections.abc import Sequence

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import LakefeedError
from lakefeed.loading.load_result import LoadOptions
from lakefeed.loading.plan.backfill import parse_range, range_of_table
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.loading.preview import LoadPreview, preview_failed, preview_load
from lakefeed.orchestration.ingest.load import LoadRequest
from lakefeed.orchestration.permissions import refuse_missing
from lakefeed.orchestration.project.catalogue_sync import LiveSource, read_live
from lakefeed.orchestration.project.selection import select_tables
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.snapshot import Snapshot, open_snapshot


def preview_loads(project: Project, request: LoadRequest) -> list[LoadPreview]:
    """What `load` would read for this request if it began now.

    Connects to each source for its tables, their columns and the transactions in flight. Changes
    nothing.

    Raises:
        DeclarationError: a selector or the range is wrong, or it comes with a full refresh.
        StorageFailed: a link leads to a folder that isn't there.
    """
    refuse_missing(project)
    selected = select_tables(project, request.select)
    parse_range(request.since, request.until, full_refresh=request.full_refresh)
    previews: list[LoadPreview] = []
    for source in project.declaration.sources:
        tables = [table for table in selected if table.source == source]
        if tables or not request.select:
            previews += _previews_of(project, source, tables, request)
    return previews


def _previews_of(
    project: Project, source: str, tables: Sequence[Table], request: LoadRequest
) -> list[LoadPreview]:
    try:
        connection = connection_of(project, source)
        with open_snapshot(connection, holds=False) as (snapshot, session):
            live = read_live(session, project, source)
    except LakefeedError as error:
        return [preview_failed(table, error) for table in tables]
    if not request.select:
        tables = _all_tables(project, source, live, request)
    return [_preview(project, table, (snapshot, live), request) for table in tables]


def _all_tables(
    project: Project, source: str, live: LiveSource, request: LoadRequest
) -> list[Table]:
    """New members of wildcards too; a backfill is of what has a cursor."""
    catalogue = project.catalogue.with_tables(source, live.tables)
    tables = project.with_catalogue(catalogue).tables_of(source)
    return [table for table in tables if table.cursor or not request.since]


def _preview(
    project: Project, table: Table, at: tuple[Snapshot, LiveSource], request: LoadRequest
) -> LoadPreview:
    snapshot, live = at
    try:
        plan = plan_table(table, live.tables.get(table.qualified))
        asked = parse_range(request.since, request.until)
        options = LoadOptions(request.full_refresh, range_of_table(plan, asked))
        return preview_load(project, plan, snapshot, options)
    except LakefeedError as error:
        return preview_failed(table, error)
