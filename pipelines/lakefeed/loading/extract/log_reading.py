"""Writes the changes of a table that were decoded from the log as a load."""

from __future__ import annotations

from dataclasses import replace

import duckdb

from lakefeed.loading.extract.delete_detection import Tombstones, limited_memory, refuse_shrink
from lakefeed.loading.extract.extraction import Extraction
from lakefeed.loading.extract.parquet_copy import Target, copy_query
from lakefeed.loading.extract.reader import Reading, measure
from lakefeed.loading.log.changes import (
    ChangesToApply,
    Taken,
    add_unknown,
    count_alive,
    count_deleted,
    rows_deleted,
    rows_written,
    take_changes,
    unstorable,
)
from lakefeed.loading.log.completion import complete_changes
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
    taken = take_changes(session, plan, changes)
    found = taken.found
    with session.in_threads_for(found), limited_memory(session):
        complete_changes(session, plan, latest)
        for part in extraction.new_parts:
            rows = session.rows_of(part_query(plan, part, "true"))
            found += add_unknown(session, plan, latest, taken, rows)
        deleted = count_deleted(session)
        _refuse_shrink(extraction, latest, taken, deleted)
        tombstones = Tombstones(rows_deleted(plan), deleted) if plan.watches_deletes else None
        target = Target(extraction.spool, load_id, tombstones)
        try:
            written = copy_query(session, plan, rows_written(plan, taken), target)
        except (duckdb.ConversionException, duckdb.InvalidInputException) as error:
            raise unstorable(plan, error) from None
        reading = measure(session, plan, target, written, horizon=None)
    return replace(reading, rows_read=found)


def _refuse_shrink(extraction: Extraction, latest: LatestRows, taken: Taken, deleted: int) -> None:
    """Counts the rows in raw only where enough were deleted for the count to matter."""
    plan, effective = extraction.plan, extraction.effective
    allowed = plan.table.settings.max_shrink
    if not plan.watches_deletes or not latest or not deleted or allowed.allows_all:
        return
    fewest = effective[0].rows - sum(load.deleted for load in effective[1:])
    if deleted < fewest and allowed.allows(fewest, deleted):
        return
    before, lost, remaining = count_alive(extraction.session, plan, latest, taken)
    refuse_shrink(
        plan,
        before=before,
        lost=lost,
        is_empty=remaining == 0,
        allow_shrink=extraction.allow_shrink,
    )
