"""Probes a table for new rows before dlt is started: most loads of most tables find none.

A probe reads the window that a load would read, if that is small, and compares it with raw. Where
it can't be sure, it says so, and the load decides. Importing dlt takes half a second, and a load
another half.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from lakefeed.declaration.project import Project
from lakefeed.loading.dlt_adapter.load_packages import has_pending_packages
from lakefeed.loading.extract.loads_to_compare import loads_to_compare
from lakefeed.loading.extract.reader import holds_all, same_rows_as
from lakefeed.loading.extract.rewrite_detection import rewritten_since_the_snapshot
from lakefeed.loading.extract.window import condition_of, window_of
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.plan.queries import rows_query
from lakefeed.loading.plan.read_contract import is_settled
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.commit_log import CommitLog, checkpoint_after
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.table_folders import working_directory
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.source.snapshot import Snapshot
from lakefeed.sql import quote

# More rows than this are left to the load, which would have to read them again.
_MOST_ROWS = 20_000


@dataclass(frozen=True)
class _Counts:
    rows_read: int
    null_cursors: int = 0


def probe_table(project: Project, opened: TableSession, options: LoadOptions) -> LoadResult | None:
    """The result of a load that finds nothing new; None where there are new rows, or may be.

    Reads the source and raw; changes nothing. Leaves its session open.
    """
    started = time.monotonic()
    plan, source = opened.plan, opened.source
    log = CommitLog(project.raw_url, plan.table.lake_name)
    effective = log.effective_loads()
    if options != LoadOptions() or not _is_settled(project, plan, source, effective):
        return None
    session = opened.open()
    counts = _counts_without_new_rows(session, plan, source.snapshot, log, effective)
    if counts is None or rewritten_since_the_snapshot(session, plan):
        return None
    checkpoint = checkpoint_after(effective)
    seconds = time.monotonic() - started
    return LoadResult(
        rows_read=counts.rows_read,
        rows=0,
        deleted=0,
        null_cursors=counts.null_cursors,
        checkpoint_before=checkpoint,
        checkpoint=checkpoint,
        committed=(),
        notes=(),
        seconds=seconds,
    )


def _is_settled(
    project: Project, plan: TablePlan, source: SourceAtSnapshot, effective: list[Load]
) -> bool:
    """Whether a load would only have to read: nothing to repair, no change, no doubt."""
    working = working_directory(project, plan.table.lake_name)
    if not effective or has_pending_packages(working) or plan.watches_deletes:
        return False
    is_same = is_settled(effective[-1].read_as, plan.read_as)
    return is_same and source.snapshot.horizon.sees_others


def _counts_without_new_rows(
    session: SourceSession,
    plan: TablePlan,
    snapshot: Snapshot,
    log: CommitLog,
    effective: list[Load],
) -> _Counts | None:
    """What the window holds; None where there may be new rows."""
    if plan.table.mode == "full_refresh":
        return _counts_of_same_table(session, plan, LatestRows.of(log, effective))
    window = window_of(plan, effective, snapshot)
    condition = condition_of(plan, window)
    if condition is None:
        return None
    query = rows_query(plan, condition, at_most=_MOST_ROWS + 1)
    held = LatestRows.of(log, loads_to_compare(plan, effective, window.start))
    if not holds_all(session, plan, held, session.rows_of(query)):
        return None
    nulls = f"count(*) filter ({quote(plan.cursor.name)} is null)" if plan.cursor else "0"
    read, without = session.execute(f"select count(*), {nulls} from incoming").fetchall()[0]
    # No row at all is left to the load: the row at the checkpoint should be there.
    is_sure = read <= _MOST_ROWS and (read > 0 or plan.cursor is None)
    return _Counts(int(read), int(without)) if is_sure else None


def _counts_of_same_table(
    session: SourceSession, plan: TablePlan, held: LatestRows
) -> _Counts | None:
    if sum(load.rows for load in held.loads) > _MOST_ROWS:
        return None
    query = rows_query(plan, at_most=_MOST_ROWS + 1)
    read = same_rows_as(session, plan, held, session.rows_of(query))
    return None if read is None else _Counts(read)
