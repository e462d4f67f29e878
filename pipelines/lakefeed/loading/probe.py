"""Probes a table for new rows before dlt is started: most loads of most tables find none.

A probe reads the window that a load would read, if that is small, and compares it with raw. Where
it can't be sure, it says so, and the load decides. Importing dlt takes half a second, and a load
another half.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.declaration.project import Project
from lakefeed.loading.comparison.loads_to_compare import loads_to_compare
from lakefeed.loading.dlt_adapter.load_packages import has_pending_packages
from lakefeed.loading.extract.reader import holds_incoming, same_rows_as, take_in
from lakefeed.loading.extract.rewrite_detection import rewritten_since_the_snapshot
from lakefeed.loading.extract.window import condition_of, window_of
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.log.run_log import RunLog
from lakefeed.loading.plan.queries import rows_query
from lakefeed.loading.plan.read_contract import is_settled
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.load_manifest import Load, checkpoint_after
from lakefeed.loading.raw.load_manifest import effective as effective_of
from lakefeed.loading.raw.nearest_files import drop_other_copies
from lakefeed.loading.raw.table_folders import working_directory
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.source.inspection.types import lake_type
from lakefeed.source.snapshot import Snapshot
from lakefeed.sql import literal

# More rows than this are left to the load, which would have to read them again.
MOST_ROWS = 20_000


@dataclass(frozen=True)
class SettledTable:
    """A table of which a load would only have to read: nothing to repair, no change, no doubt.

    `effective` are the loads that count, oldest first.
    """

    plan: TablePlan
    log: CommitLog
    effective: tuple[Load, ...]

    def without_news(self, rows_read: int, null_cursors: int, seconds: float) -> LoadResult:
        """The result of a load that reads these rows and finds nothing new."""
        checkpoint = checkpoint_after(self.effective)
        return LoadResult(
            rows_read=rows_read,
            rows=0,
            deleted=0,
            null_cursors=null_cursors,
            checkpoint_before=checkpoint,
            checkpoint=checkpoint,
            committed=(),
            notes=(),
            seconds=seconds,
        )


@dataclass(frozen=True)
class _Counts:
    rows_read: int
    null_cursors: int = 0


def settled_table(
    project: Project, plan: TablePlan, snapshot: Snapshot, options: LoadOptions
) -> SettledTable | None:
    """The table, if a load would only have to read; otherwise None. Reads the commit log."""
    log = CommitLog(project.raw, plan.table.lake_name)
    loads = log.loads()
    drop_other_copies(log, loads)
    effective = tuple(effective_of(loads))
    if options != LoadOptions() or not _is_settled(project, plan, snapshot, effective):
        return None
    return SettledTable(plan, log, effective)


def probe_table(
    project: Project, opened: TableSession, options: LoadOptions, log: RunLog | None = None
) -> LoadResult | None:
    """The result of a load that finds nothing new; None where there are new rows, or may be.

    Reads the source and raw; changes neither. Leaves its session open.

    Args:
        log: the source's log, for a table that is read by it.
    """
    settled = settled_table(project, opened.plan, opened.source.snapshot, options)
    return probe_settled(settled, opened, log) if settled else None


def probe_settled(
    settled: SettledTable, opened: TableSession, log: RunLog | None = None
) -> LoadResult | None:
    """Does what `probe_table` does, for a table that is settled."""
    started = time.monotonic()
    if settled.plan.table.reads_log:
        if log is None or not log.has_nothing_for(settled.plan, settled.effective):
            return None
        return settled.without_news(0, 0, time.monotonic() - started)
    session = opened.open()
    counts = _counts_without_new_rows(session, settled, opened.source.snapshot)
    if counts is None or rewritten_since_the_snapshot(session, settled.plan):
        return None
    seconds = time.monotonic() - started
    return settled.without_news(counts.rows_read, counts.null_cursors, seconds)


def _is_settled(
    project: Project, plan: TablePlan, snapshot: Snapshot, effective: Sequence[Load]
) -> bool:
    working = working_directory(project, plan.table.lake_name)
    compares_keys = plan.watches_deletes and not plan.table.reads_log
    if not effective or has_pending_packages(working) or compares_keys:
        return False
    newest = effective[-1].read_as
    # Raw then has rows that the source lacks, which only the load can tell from deleted ones.
    if plan.table.mode == "full_refresh" and newest and newest.detached:
        return False
    is_same = is_settled(newest, plan.read_as)
    return is_same and (snapshot.horizon.sees_others or plan.table.reads_log)


def _counts_without_new_rows(
    session: SourceSession, settled: SettledTable, snapshot: Snapshot
) -> _Counts | None:
    """What the window holds; None where there may be new rows."""
    plan, log, effective = settled.plan, settled.log, settled.effective
    if plan.table.mode == "full_refresh":
        return _counts_of_same_table(session, plan, LatestRows.of(log, effective))
    window = window_of(plan, effective, snapshot)
    condition = condition_of(plan, window)
    if condition is None:
        return None
    query = rows_query(plan, condition, at_most=MOST_ROWS + 1)
    held = LatestRows.of(log, loads_to_compare(plan, effective, window.start))
    read = take_in(session, session.rows_of(query))
    if read == 0:
        # With a cursor the row at the checkpoint should be there: that is left to the load.
        return None if plan.cursor else _Counts(0)
    if read > MOST_ROWS:
        return None
    nulls = f"count(*) filter ({plan.cursor.value()} is null)" if plan.cursor else "0"
    without, is_beyond = session.execute(
        f"select {nulls}, {_is_beyond(plan, held)} from incoming"
    ).fetchall()[0]
    if is_beyond or not holds_incoming(session, plan, held):
        return None
    return _Counts(read, int(without))


def _is_beyond(plan: TablePlan, held: LatestRows) -> str:
    """Whether a cursor is above those of all loads: its row is new, and no file need be read."""
    known = [load.cursor_max for load in held.loads if load.cursor_max is not None]
    name = plan.cursor.recorded if plan.cursor else None
    if not (plan.cursor and known and all(load.cursor == name for load in held.loads)):
        return "false"
    kind = lake_type(plan.cursor.type).duckdb
    listed = ", ".join(map(literal, dict.fromkeys(known)))
    return f"coalesce(max({plan.cursor.value()}) > list_max([{listed}]::{kind}[]), false)"


def _counts_of_same_table(
    session: SourceSession, plan: TablePlan, held: LatestRows
) -> _Counts | None:
    if sum(load.rows for load in held.loads) > MOST_ROWS:
        return None
    query = rows_query(plan, at_most=MOST_ROWS + 1)
    read = same_rows_as(session, plan, held, session.rows_of(query))
    return None if read is None else _Counts(read)
