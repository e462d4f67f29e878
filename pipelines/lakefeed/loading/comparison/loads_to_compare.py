"""Which earlier loads a load compares its rows with, so that it writes only what is new."""

from __future__ import annotations

from collections.abc import Sequence

from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.load_manifest import Load

# Rows that every load reads again are compared with this many recent loads; a row that only older
# loads hold is written once more.
_RECENT_LOADS = 50


def loads_to_compare(
    plan: TablePlan, effective: Sequence[Load], start: CursorValue | None
) -> list[Load]:
    """The loads that tell whether a row read from `start` on is new.

    Any run of newest loads is right: it holds a row's newest version, or none, and then the row is
    written once more. For a window that starts at the beginning: all loads. With `mode: append`,
    all that hold a row of the window: a row that is written twice stays twice.
    """
    if start is None:
        return list(effective)
    if plan.table.appends:
        return [load for load in effective if _may_hold(plan, load, start)]
    if isinstance(start, int) and plan.table.reads_row_versions:
        return _loads_that_saw(effective, start)
    return _loads_since(effective, start)


def _loads_since(effective: Sequence[Load], start: CursorValue) -> list[Load]:
    """The run of newest loads that holds the current version of every row at or above `start`.

    It begins at the oldest load with such a row; all later ones belong to it, since any of them may
    hold a newer version of that row with a lower cursor. Rows that every load reads again, those
    without a cursor and those from the future, are looked for in recent loads only: otherwise there
    would be ever more loads to look through.
    """
    floor = _as_floor(start)
    recent = len(effective) - _RECENT_LOADS
    for index, load in enumerate(effective):
        reaches = load.cursor_max is not None and _at_or_above(load.cursor_max, start, floor)
        is_in_window = reaches and (isinstance(start, int) or _is_taken_since(load, floor))
        if is_in_window or (index >= recent and (reaches or load.null_cursors)):
            return list(effective[index:])
    return []


def _may_hold(plan: TablePlan, load: Load, start: CursorValue) -> bool:
    """Whether a load may have written rows at or above `start`, or without a cursor."""
    assert plan.cursor is not None
    if load.cursor != plan.cursor.recorded:
        return True
    reads_nulls = plan.table.settings.on_null_cursor != "exclude"
    reaches = load.cursor_max is not None and _at_or_above(load.cursor_max, start, _as_floor(start))
    return reaches or bool(reads_nulls and load.null_cursors)


def _loads_that_saw(effective: Sequence[Load], transaction: int) -> list[Load]:
    """The run of newest loads that may hold what this transaction or a later one wrote."""
    for index, load in enumerate(effective):
        if load.in_flight is None or load.in_flight.next_number > transaction:
            return list(effective[index:])
    return []


def _is_taken_since(load: Load, floor: str) -> bool:
    return load.snapshot_at.replace("T", " ") >= floor


def _as_floor(start: CursorValue) -> str:
    return str(start).replace("T", " ")[:19]


def _at_or_above(cursor_max: str, start: CursorValue, floor: str) -> bool:
    if isinstance(start, int):
        return int(cursor_max) >= start
    # Years beyond 9999, BC and infinity don't sort as text; taking the load in is always right.
    return not cursor_max[:4].isdigit() or cursor_max[4] != "-" or cursor_max >= floor
