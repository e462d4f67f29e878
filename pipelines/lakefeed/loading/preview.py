"""What a load of one table would read, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Mode, Table
from lakefeed.errors import LakefeedError
from lakefeed.loading.accepted_changes import accepted_changes
from lakefeed.loading.estimate import Estimate, estimate_of, size_of
from lakefeed.loading.extract.window import Window, detached_by, window_of
from lakefeed.loading.load_result import LoadOptions
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.detached import note_of_detached
from lakefeed.loading.plan.read_contract import ContractChanges
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.ranges.first_loads import (
    can_be_in_ranges,
    count_of_ranges,
    may_begin,
    notes_of_resume_above,
    reason_to_start_over,
)
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load, checkpoint_after, unfinished
from lakefeed.loading.raw.load_manifest import effective as effective_of
from lakefeed.source.snapshot import Snapshot


@dataclass(frozen=True)
class LoadPreview:
    """What the next load of a table would read.

    Attributes:
        name: the table, such as `shop.orders`.
        lake_name: its name in the lake, such as `shop__orders`.
        mode: its declared mode.
        columns: the columns to read, in the order of the raw files.
        primary_key: the columns that identify a row; empty if there are none.
        history: whether it has a history model.
        cursor: the cursor column; `xmin` for row versions; None if there is none.
        checkpoint: the checkpoint of earlier loads; None before the first load.
        start: the smallest cursor value read, inclusive: the checkpoint or, if that is earlier, the
            safe horizon, minus the lookback. None to read from the beginning. With `cursor: xmin`,
            a transaction ID.
        end: the end of a backfill, exclusive; None if it is open.
        reads_whole: whether the whole table is read, which supersedes all earlier loads.
        supersedes: the IDs of the loads that would be superseded.
        reasons: what determines where it starts, in the order in which it applies.
        ranges: how a first load in ranges goes on, or begins; empty for any other.
        estimate: how much it would read, as the source's planner expects; None if not asked for.
        drift: what changed in the database since the catalogue was written.
        notes: schema changes since the last load, and their effect on this one.
        error: why the table can't be loaded. Fields that aren't known then keep their defaults.
    """

    name: str
    lake_name: str
    mode: Mode
    columns: tuple[str, ...] = ()
    primary_key: tuple[str, ...] = ()
    history: bool = False
    cursor: str | None = None
    checkpoint: str | None = None
    start: str | None = None
    end: str | None = None
    reads_whole: bool = False
    supersedes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    ranges: str = ""
    estimate: Estimate | None = None
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: LakefeedError | None = None


def preview_failed(table: Table, error: LakefeedError) -> LoadPreview:
    """The preview of a table that can't be loaded."""
    return LoadPreview(table.shown, table.lake_name, table.mode, error=error)


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
    reads_anew = options.full_refresh
    over = so_far and reason_to_start_over(plan, so_far[-1], snapshot, full_refresh=reads_anew)
    changes = accepted_changes(plan, effective, options)
    window = window_of(
        plan,
        effective,
        snapshot,
        changes,
        whole=options.full_refresh,
        backfill=options.backfill,
    )
    # What the log has of the table, the server can't tell.
    of_log = table.reads_log and "checkpoint" in window.reasons
    return LoadPreview(
        name=table.shown,
        lake_name=table.lake_name,
        mode=table.mode,
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
        ranges="" if effective else _ranges(plan, () if over else so_far, snapshot, session),
        estimate=None if not session or of_log else estimate_of(session, plan, window),
        notes=(
            *changes.notes,
            *_notes_of_detached(plan, changes, window),
            *([f"its first load starts over: {over}"] if over else ()),
            *(() if effective else notes_of_resume_above(plan)),
        ),
    )


def _notes_of_detached(plan: TablePlan, changes: ContractChanges, window: Window) -> Iterator[str]:
    """What would become of the rows of partitions that have left since the latest load."""
    looks_for_them = not window.is_backfill and (plan.watches_deletes or window.is_whole)
    detached = detached_by(plan, changes)
    if detached and detached.names and looks_for_them:
        yield note_of_detached(detached, plan.table.settings.deletes)


def _ranges(
    plan: TablePlan, so_far: Sequence[Load], snapshot: Snapshot, session: PgConnection | None
) -> str:
    if so_far and so_far[-1].range:
        return f"goes on after {so_far[-1].range.shown}"
    if session is None or plan.table.mode == "full_refresh" or not can_be_in_ranges(plan):
        return ""
    size = size_of(session, plan)
    count = count_of_ranges(plan, size)
    return f"in about {count} ranges" if may_begin(plan, snapshot, size) else ""


def _text(value: CursorValue | None) -> str | None:
    return None if value is None else str(value)
