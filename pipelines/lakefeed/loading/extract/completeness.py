"""What speaks against having found all rows from the checkpoint on."""

from __future__ import annotations

from collections.abc import Iterator

from lakefeed.loading.extract.extraction import Extraction
from lakefeed.loading.extract.reader import Reading
from lakefeed.loading.plan.cursors import CursorValue, moment_of
from lakefeed.loading.plan.queries import has_values_query, newest_cursor_query
from lakefeed.loading.sessions.transactions import committed_too_late


def older_rows_have(extraction: Extraction, start: CursorValue) -> bool:
    """Whether an added column has values where this load wouldn't look."""
    if not extraction.changes.added:
        return False
    query = has_values_query(extraction.plan, extraction.changes.added, below=str(start))
    return bool(extraction.session.fetch(query)[0][0])


def doubts_of(extraction: Extraction, reading: Reading, start: CursorValue) -> Iterator[str]:
    """What speaks against having found all rows from the checkpoint on."""
    session, plan = extraction.session, extraction.plan
    again = f"lakefeed run --select {plan.table.shown} --full-refresh"
    if plan.cursor_kind != "number" and not extraction.snapshot.horizon.sees_others:
        kept = [load.in_flight for load in extraction.effective if load.in_flight]
        reach = moment_of(start, plan.cursor_zone)
        for doubt in committed_too_late(session, kept, extraction.in_flight, reach):
            yield f"{doubt}; to be sure: {again}"
    if reading.rows_read == 0 and plan.cursor:
        newest = session.fetch(newest_cursor_query(plan))[0][0]
        if newest is not None:
            yield (
                f"the newest `{plan.cursor.name}` in the source is {newest}, below the checkpoint "
                f"{extraction.checkpoint_before}: rows were deleted or set back; to be sure: "
                f"{again}"
            )
