"""Writes the changes of a table that were decoded from the log as a load."""

from __future__ import annotations

from dataclasses import replace

from lakefeed.loading.extract.delete_detection import Tombstones, refuse_shrink
from lakefeed.loading.extract.extraction import Extraction
from lakefeed.loading.extract.parquet_copy import Target, copy_query
from lakefeed.loading.extract.reader import Reading, measure
from lakefeed.loading.log.changes import (
    ChangesToApply,
    add_unknown,
    complete_changes,
    count_alive,
    count_deleted,
    rows_deleted,
    rows_written,
    take_changes,
)
from lakefeed.loading.plan.queries import part_query
from lakefeed.loading.raw.latest_rows import LatestRows


def read_changes(extraction: Extraction, changes: ChangesToApply, load_id: str) -> Reading:
    """Writes each new change as a version of its row, and deletes as tombstones.

    Rows that a partition had before it was attached are in no change: they are read.

    Raises:
        TableFailed: a value can't be stored exactly.
        Refused: the table lost all of its rows, or more than `max_shrink` allows.
    """
    session, plan = extraction.session, extraction.plan
    latest = LatestRows.of(extraction.log, extraction.effective)
    found = take_changes(session, plan, changes)
    with session.in_threads_for(found):
        complete_changes(session, plan, latest)
        for part in extraction.new_parts:
            rows = session.rows_of(part_query(plan, part, "true"))
            found += add_unknown(session, plan, latest, rows)
        deleted = count_deleted(session)
        _refuse_shrink(extraction, latest, deleted)
        tombstones = Tombstones(rows_deleted(plan), deleted) if plan.watches_deletes else None
        target = Target(extraction.spool, load_id, tombstones)
        written = copy_query(session, plan, rows_written(plan), target)
        reading = measure(session, plan, target, written, horizon=None)
    return replace(reading, rows_read=found)


def _refuse_shrink(extraction: Extraction, latest: LatestRows, deleted: int) -> None:
    """Counts the rows only where enough were deleted for the count to matter."""
    plan = extraction.plan
    allowed = plan.table.settings.max_shrink
    if not plan.watches_deletes or not latest or not deleted or allowed.allows_all:
        return
    before, lost, remaining = count_alive(extraction.session, plan, latest)
    refuse_shrink(
        plan,
        before=before,
        lost=lost,
        is_empty=remaining == 0,
        allow_shrink=extraction.allow_shrink,
    )
