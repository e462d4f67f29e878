"""Whether a load finds all rows: windows extended for added columns, and doubts to report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from lakefeed.loading.extract.extraction import Extraction
from lakefeed.loading.extract.missed_rows import read_anyway
from lakefeed.loading.extract.reader import Reading
from lakefeed.loading.extract.window import (
    Window,
    changes_since_newest,
    condition_of,
    window_of,
)
from lakefeed.loading.log.changes import LogOfTable
from lakefeed.loading.plan.cursors import moment_of
from lakefeed.loading.plan.queries import has_values_query, newest_cursor_query
from lakefeed.loading.plan.read_contract import ContractChanges
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.transactions import committed_too_late
from lakefeed.source.snapshot import Snapshot


def pending_condition(
    session: SourceSession, plan: TablePlan, effective: Sequence[Load], snapshot: Snapshot
) -> str | None:
    """The source's condition for rows that an ordinary load would read now; None for all rows.

    Of a table that is read by the log, what that has is left out.
    """
    changes = changes_since_newest(plan, effective)
    window = window_of(plan, effective, snapshot, changes)
    if plan.table.reads_log:
        window = whole_if_values_were_added(session, plan, window, changes)
        attached = [str(part.oid) for part in plan.parts if part.oid in changes.new_parts]
        of_parts = f"tableoid in ({', '.join(attached)})" if attached else "false"
        return of_parts if "checkpoint" in window.reasons else None
    window = reaching_added_values(session, plan, window, changes)
    condition = condition_of(plan, window)
    return None if condition is None else read_anyway(plan, condition, window.parts)


def reaching_added_values(
    session: SourceSession, plan: TablePlan, window: Window, changes: ContractChanges
) -> Window:
    """The window, extended to the beginning if rows below it have values in an added column.

    With `mode: append`, rows that were loaded without the column stay as they are.
    """
    start = window.start
    is_by_cursor = plan.cursor is not None and not window.is_backfill and not plan.table.appends
    if not changes.added or not is_by_cursor or start is None or start == plan.initial_value:
        return window
    query = has_values_query(plan, changes.added, below=str(start))
    has_values = bool(session.fetch(query)[0][0])
    return window.from_beginning(plan, "added column") if has_values else window


def whole_if_values_were_added(
    session: SourceSession, plan: TablePlan, window: Window, changes: ContractChanges
) -> Window:
    """The window of a table that is read by the log; all of it if an added column has values.

    Those that a default gave to existing rows are in no change.
    """
    if not changes.added or window.is_whole:
        return window
    query = has_values_query(plan, changes.added)
    has_values = bool(session.fetch(query)[0][0])
    return replace(window, start=None, reasons=("added column", "whole")) if has_values else window


def whole_if_rewritten(window: Window, changes: ContractChanges, log: LogOfTable) -> Window:
    """The window of a table that is read by the log; all of it if its storage is another one.

    The log has truncates, but no other rewrites: those of `alter table`, whose rows may have other
    values then, and of `vacuum full`, which can't be told from them where rows have changed since.
    Nor has it the truncate of a partition that is published as its root.
    """
    if not changes.rewritten_parts or not log.changes or log.has_truncate:
        return window
    return replace(window, start=None, reasons=("rewritten table", "whole"))


def notes_of_values_left(
    session: SourceSession, plan: TablePlan, window: Window, changes: ContractChanges
) -> Iterator[str]:
    """What to tell the user about values in added columns that `mode: append` doesn't load."""
    before = window.checkpoint
    if not (plan.table.appends and changes.added) or before is None or window.is_backfill:
        return
    if session.fetch(has_values_query(plan, changes.added, below=str(before)))[0][0]:
        names = ", ".join(f"`{name}`" for name in changes.added)
        yield (
            f"{names} is new: rows loaded before keep null in it, though they have values in the "
            f"source; to load these: lakefeed run --select {plan.table.shown} --full-refresh"
        )


def notes_of_window(plan: TablePlan, window: Window, changes: ContractChanges) -> Iterator[str]:
    """What to tell the user about where a window starts."""
    if "restored server" in window.reasons:
        yield (
            "the server was restored or replaced since the last load and numbers its row versions "
            "differently: read from the beginning"
        )
    if "added column" in window.reasons and not plan.table.reads_row_versions:
        names = ", ".join(f"`{name}`" for name in changes.added)
        yield f"{names} is new, and rows loaded earlier have values in it: read from the beginning"
    if "rewritten table" in window.reasons:
        yield (
            "the table or a partition was rewritten, or a partition truncated by itself, which the "
            "log doesn't tell: read in full"
        )


def doubts_of(extraction: Extraction, window: Window, reading: Reading) -> Iterator[str]:
    """Warnings where the load may not have found every row since the checkpoint."""
    session, plan = extraction.session, extraction.plan
    if window.start is None or window.is_backfill or plan.cursor is None:
        return
    reload = f"lakefeed run --select {plan.table.shown} --full-refresh"
    if plan.cursor_kind != "number" and not extraction.snapshot.horizon.sees_others:
        earlier = [load.in_flight for load in extraction.effective if load.in_flight]
        reach = moment_of(window.start, plan.cursor_zone)
        for doubt in committed_too_late(session, earlier, extraction.in_flight, reach):
            yield f"{doubt}; to be sure: {reload}"
    if reading.rows_read == 0 and window.checkpoint is not None:
        newest = session.fetch(newest_cursor_query(plan))[0][0]
        if newest is not None:
            yield (
                f"the newest `{plan.cursor.name}` in the source is {newest}, below the checkpoint "
                f"{window.checkpoint}: rows were deleted or their cursor was set back; to be sure: "
                f"{reload}"
            )
