"""A table read in steps of its cursor, each at a later snapshot and a load of its own.

That is what several runs would do, each of which ends early: a row that changes between two steps
has a cursor above the checkpoint by then. So it is sound for a table that is read by a cursor, and
for no other: without one, a row may move from what isn't read yet to what was read already.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.queries import ever_loaded, relation_of
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.sql import literal, quote

# Each step costs a load, half a second or so, and a file.
_LEAST_ROWS = 200


@dataclass(frozen=True)
class Steps:
    """Into how many parts to cut what is left; `rows` of one, once that has been decided."""

    parts: int
    rows: int | None = None


@dataclass(frozen=True)
class Step:
    """One of them: at most so many rows, but for ties. The last one has no condition."""

    rows: int
    condition: str | None


def next_step(
    session: SourceSession,
    plan: TablePlan,
    steps: Steps,
    *,
    above: CursorValue | None,
    horizon: CursorValue | None,
) -> Step:
    """The step that begins above this checkpoint.

    Args:
        horizon: the checkpoint doesn't pass it, so that what lies beyond is read in one.
    """
    assert plan.cursor is not None
    cursor, kind = quote(plan.cursor.name), plan.cursor.type
    # Whatever `where` says: that may take longer than an index that has the cursor.
    bounds = [ever_loaded(plan), f"{cursor} is not null"]
    bounds += [f"{cursor} > {literal(str(above))}::{kind}"] if above is not None else []
    bounds += [f"{cursor} <= {literal(str(horizon))}::{kind}"] if horizon is not None else []
    later = f"from {relation_of(plan)} where {' and '.join(bounds)}"
    left = int(session.fetch(f"select count(*) {later}")[0][0])
    rows = steps.rows or max(_LEAST_ROWS, math.ceil(left / steps.parts))
    if left <= rows:
        return Step(rows, None)
    last = session.fetch(
        f"select {cursor}::text {later} order by {cursor} limit 1 offset {rows - 1}"
    )[0][0]
    return Step(rows, f"{cursor} <= {literal(last)}::{kind}")
