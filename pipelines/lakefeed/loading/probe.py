"""A look at the source before dlt is started: most loads of most tables find nothing new.

It reads what a load would read, if that is little, and compares it with raw. Where it can't be sure
it says so, and the load decides. Importing dlt costs half a second, and a load another half.
"""

from __future__ import annotations

import time
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.loading.dlt_adapter.load_packages import has_pending_packages
from lakefeed.loading.extract.extraction import (
    Extraction,
    loads_to_compare,
    next_condition,
    next_start,
)
from lakefeed.loading.extract.reader import holds_all, same_rows_as
from lakefeed.loading.extract.rewrite_detection import rewritten_since_the_snapshot
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.plan.queries import rows_query
from lakefeed.loading.plan.read_contract import ContractChanges, is_settled
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.commit_log import CommitLog, checkpoint_after
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.sql import quote

# More than this is left to the load, which would have to read it again.
_MOST_ROWS = 20_000


def probe_table(
    project: Project, plan: TablePlan, source: SourceAtSnapshot, options: LoadOptions
) -> LoadResult | None:
    """The outcome of a load that finds nothing new; None where there is news, or there may be.

    Reads the source and raw; changes nothing.
    """
    started = time.monotonic()
    log = CommitLog(project.raw_url, plan.table.lake_name)
    effective = log.effective_loads()
    if options != LoadOptions() or not _is_settled(project, plan, source, effective):
        return None
    with source.session(plan) as session:
        extraction = Extraction(
            source=source,
            session=session,
            plan=plan,
            log=log,
            effective=effective,
            changes=ContractChanges(),
            whole=False,
            backfill=None,
            allow_shrink=False,
            spool=Path(),
        )
        read = _rows_without_news(extraction)
        if read is None or rewritten_since_the_snapshot(session, plan):
            return None
    checkpoint = checkpoint_after(effective)
    seconds = time.monotonic() - started
    return LoadResult(*read, checkpoint, checkpoint, (), (), seconds)


def _is_settled(
    project: Project, plan: TablePlan, source: SourceAtSnapshot, effective: list[Load]
) -> bool:
    """Whether a load would have nothing to do but to read: no repair, no change, no doubt."""
    working = project.data / ".dlt" / "pipelines" / plan.table.lake_name
    if not effective or has_pending_packages(working) or plan.watches_deletes:
        return False
    is_same = is_settled(effective[-1].read_as, plan.read_as)
    return is_same and source.snapshot.horizon.sees_others


def _rows_without_news(extraction: Extraction) -> tuple[int, int, int, int] | None:
    """Rows read, written, deleted, and without a cursor; None where there may be news."""
    plan, session = extraction.plan, extraction.session
    if plan.table.mode == "full_refresh":
        return _whole_without_news(extraction)
    condition = next_condition(plan, extraction.effective, extraction.snapshot)
    if condition is None:
        return None
    query = rows_query(plan, condition, at_most=_MOST_ROWS + 1)
    start = next_start(plan, extraction.effective, extraction.snapshot)
    held = LatestRows.of(extraction.log, loads_to_compare(plan, extraction.effective, start))
    if not holds_all(session, plan, held, session.rows_of(query)):
        return None
    nulls = f"count(*) filter ({quote(plan.cursor.name)} is null)" if plan.cursor else "0"
    read, without = session.execute(f"select count(*), {nulls} from incoming").fetchall()[0]
    # No row at all is worth a second look: the checkpoint's own row should be there.
    is_sure = read <= _MOST_ROWS and (read > 0 or plan.cursor is None)
    return (int(read), 0, 0, int(without)) if is_sure else None


def _whole_without_news(extraction: Extraction) -> tuple[int, int, int, int] | None:
    plan, session = extraction.plan, extraction.session
    if sum(load.rows for load in extraction.effective) > _MOST_ROWS:
        return None
    held = LatestRows.of(extraction.log, extraction.effective)
    query = rows_query(plan, at_most=_MOST_ROWS + 1)
    read = same_rows_as(session, plan, held, session.rows_of(query))
    return None if read is None else (read, 0, 0, 0)
