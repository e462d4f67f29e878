"""What a load of one table would read, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.explain import shown
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError
from lakefeed.loading.accepted_changes import accepted_changes
from lakefeed.loading.extract.window import Window, detached_by, window_of
from lakefeed.loading.forecast.estimate import estimate_of, size_of
from lakefeed.loading.forecast.key_comparison import key_comparisons
from lakefeed.loading.forecast.planned_load import LoadPreview, declared_load
from lakefeed.loading.load_result import LoadOptions
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.detached import note_of_detached
from lakefeed.loading.plan.read_contract import ContractChanges
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.ranges.ctid_ranges import cut, statements_for
from lakefeed.loading.ranges.first_loads import (
    can_be_in_ranges,
    count_of_ranges,
    may_begin,
    notes_of_resume_above,
    reason_to_start_over,
)
from lakefeed.loading.ranges.key_ranges import between
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load, checkpoint_after, unfinished
from lakefeed.loading.raw.load_manifest import effective as effective_of
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.source.snapshot import Snapshot


def preview_failed(table: Table, error: LakefeedError) -> LoadPreview:
    """The preview of a table that can't be loaded."""
    return replace(declared_load(table), error=error)


def preview_load(
    project: Project,
    plan: TablePlan,
    snapshot: Snapshot,
    options: LoadOptions,
    session: PgConnection | None = None,
) -> LoadPreview:
    """What a load at this snapshot would read. Reads the commit log; changes nothing.

    Args:
        session: asks the source's planner how much that is; None to leave that open.

    One case can't be foreseen without reading rows: if an added column has values in older rows,
    the load reads from the beginning.

    Raises:
        TableFailed: the load would be refused because of a schema change, or because it could no
            longer tell which rows are to be kept.
        psycopg2.Error: the connection was lost.
    """
    table = plan.table
    loads = CommitLog(project.raw, table.lake_name).loads()
    effective, so_far = effective_of(loads), unfinished(loads)
    over = _why_over(plan, so_far, snapshot, options)
    so_far = [] if effective or over else so_far
    changes = accepted_changes(plan, effective, options)
    window = window_of(
        plan,
        effective,
        snapshot,
        changes,
        whole=options.full_refresh,
        backfill=options.backfill,
    )
    load = replace(
        declared_load(table),
        columns=tuple(column.name for column in plan.columns),
        primary_key=plan.key,
        history=table.settings.history and bool(plan.key),
        cursor=plan.read_as.cursor,
        checkpoint=checkpoint_after(effective) if table.goes_on else None,
        start=_text(window.start),
        end=_text(window.end),
        reads_whole=window.is_whole,
        supersedes=tuple(load.load_id for load in effective) if window.is_whole else (),
        reasons=window.reasons,
        ranges="" if effective else _ranges(plan, so_far, snapshot, session),
        finds_deleted=_compares_keys(plan, window) and bool(effective),
        notes=(
            *changes.notes,
            *_notes_of_detached(plan, changes, window),
            *(() if effective else _notes_of_first_load(plan, snapshot, over)),
        ),
    )
    if session is None:
        return load
    load = _with_costs(load, plan, window, session, so_far=so_far)
    if options.allow_shrink or table.settings.where or _are_expected(plan, changes):
        return load
    return replace(load, shrinks=_shrinks(load, plan, effective))


def _with_costs(
    load: LoadPreview,
    plan: TablePlan,
    window: Window,
    session: PgConnection,
    *,
    so_far: Sequence[Load],
) -> LoadPreview:
    """The same load, with what it asks of the source.

    Args:
        so_far: the ranges of a first load that goes on.
    """
    # What the log has of the table, the server can't tell.
    of_log = plan.table.reads_log and "checkpoint" in window.reasons
    return replace(
        load,
        estimate=None if of_log else estimate_of(session, plan, window, _left(plan, so_far)),
        statements=_statements_of_ranges(plan, so_far, session)
        if load.ranges
        else _statements(plan, window, session),
        keys=key_comparisons(session, [plan]).get(load.lake_name) if load.finds_deleted else None,
    )


def _are_expected(plan: TablePlan, changes: ContractChanges) -> bool:
    """Whether rows of detached partitions don't count as lost; statistics don't tell how many."""
    detached = detached_by(plan, changes)
    return detached is not None and detached.are_expected


def _why_over(
    plan: TablePlan, so_far: Sequence[Load], snapshot: Snapshot, options: LoadOptions
) -> str | None:
    """Why a first load that has begun starts over; None if it goes on, or none has begun."""
    if not so_far:
        return None
    return reason_to_start_over(plan, so_far[-1], snapshot, full_refresh=options.full_refresh)


def _notes_of_first_load(plan: TablePlan, snapshot: Snapshot, over: str | None) -> Iterator[str]:
    if over:
        yield f"its first load starts over: {over}"
    yield from notes_of_resume_above(plan, snapshot)


def _notes_of_detached(plan: TablePlan, changes: ContractChanges, window: Window) -> Iterator[str]:
    """What would become of the rows of partitions that have left since the latest load."""
    looks_for_them = not window.is_backfill and (plan.watches_deletes or window.is_whole)
    detached = detached_by(plan, changes)
    if detached and detached.names and looks_for_them:
        yield note_of_detached(detached, plan.table.settings.deletes)


def _compares_keys(plan: TablePlan, window: Window) -> bool:
    """Whether a load compares all keys; a whole read needs that only to mark rows."""
    by_comparing = plan.watches_deletes and not plan.table.reads_log and not window.is_backfill
    return by_comparing and (not window.is_whole or plan.table.settings.deletes == "mark")


def _statements(plan: TablePlan, window: Window, session: PgConnection) -> int:
    """In how many statements rows are read: all rows of a large table in ranges of pages."""
    reads_all = window.start is None and not window.is_backfill
    if not reads_all or plan.table.query is not None:
        return 1
    size = size_of(session, plan)
    sessions = SourceAtSnapshot.sessions_for(plan)
    return len(cut(size, sessions, plan.table.settings.max_query_time)) if size else 1


def _left(plan: TablePlan, so_far: Sequence[Load]) -> str:
    """The condition for rows in ranges that weren't read yet."""
    before = so_far[-1].range if so_far else None
    return between(plan, before.upper if before else None, None)


def _statements_of_ranges(plan: TablePlan, so_far: Sequence[Load], session: PgConnection) -> int:
    """In about how many statements the ranges are read that are left of a first load."""
    table, before = size_of(session, plan), so_far[-1].range if so_far else None
    if table is None:
        return 1
    left = table.size * (before.of - before.number) // before.of if before else table.size
    ranges, sessions = count_of_ranges(plan, left), SourceAtSnapshot.sessions_for(plan)
    longest = plan.table.settings.max_query_time
    return max(1, ranges * statements_for(left // max(1, ranges), sessions, longest))


def _shrinks(load: LoadPreview, plan: TablePlan, effective: Sequence[Load]) -> str:
    """Why `max_shrink` may refuse the load, if the source's statistics hint at that.

    Raw has at least as many rows as its oldest load that counts, less those deleted since.
    """
    now = load.keys.keys if load.keys else None
    if load.reads_whole and load.estimate and plan.parts:
        now = load.estimate.rows
    allowed = plan.table.settings.max_shrink
    if not effective or now is None or allowed.allows_all:
        return ""
    before = effective[0].rows - sum(load.deleted for load in effective[1:])
    if now >= before or allowed.allows(before, before - now):
        return ""
    return (
        f"may be refused by `max_shrink` ({shown(allowed.share)}): about {now:,} of at least "
        f"{before:,} rows are left; if that is right, accept it with --allow-shrink"
    )


def _ranges(
    plan: TablePlan, so_far: Sequence[Load], snapshot: Snapshot, session: PgConnection | None
) -> str:
    if so_far and so_far[-1].range:
        return f"goes on after {so_far[-1].range.shown}"
    if session is None or plan.table.mode == "full_refresh" or not can_be_in_ranges(plan):
        return ""
    table = size_of(session, plan)
    if table is None or not may_begin(plan, snapshot, table.size):
        return ""
    return f"in about {count_of_ranges(plan, table.size)} ranges"


def _text(value: CursorValue | None) -> str | None:
    return None if value is None else str(value)
