"""Reads a table in steps along its cursor, each a separate load at a later snapshot.

The effect is that of several runs that end early: a row that changes between two steps then has a
cursor value above the checkpoint. This is safe only for tables read by a cursor: without one, a row
could move from the part not yet read to the part already read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.queries import ever_loaded, relation_of
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.sql import literal

# Each step costs a load (about half a second) and a file.
_LEAST_ROWS = 200


@dataclass(frozen=True)
class Steps:
    """The number of parts to split the remaining rows into; `rows` fixes the size of a step."""

    parts: int
    rows: int | None = None


@dataclass(frozen=True)
class Step:
    """One step: at most this many rows, apart from ties. The last step has no condition."""

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
        horizon: the safe horizon; the checkpoint can't pass it, so all rows beyond it are read in
            one step.
    """
    assert plan.cursor is not None
    cursor, kind = plan.cursor.value(), plan.cursor.type
    # Without the declared `where`, so that PostgreSQL can count in the cursor's index alone.
    bounds = [ever_loaded(plan), f"{cursor} is not null"]
    bounds += [f"{cursor} > {literal(str(above))}::{kind}"] if above is not None else []
    bounds += [f"{cursor} <= {literal(str(horizon))}::{kind}"] if horizon is not None else []
    later = f"from {relation_of(plan)} where {' and '.join(bounds)}"
    remaining = int(session.fetch(f"select count(*) {later}")[0][0])
    rows = steps.rows or max(_LEAST_ROWS, math.ceil(remaining / steps.parts))
    if remaining <= rows:
        return Step(rows, None)
    last = session.fetch(
        f"select {cursor}::text {later} order by {cursor} limit 1 offset {rows - 1}"
    )[0][0]
    return Step(rows, f"{cursor} <= {literal(last)}::{kind}")
