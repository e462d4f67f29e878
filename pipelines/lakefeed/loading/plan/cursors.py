"""Cursor arithmetic: where a load starts to read, and how far the checkpoint may move.

Pure functions over Python values. A cursor value is a datetime (aware or naive), a date or an int.
"""

from __future__ import annotations

import datetime as dt
from typing import cast, overload
from zoneinfo import ZoneInfo

from lakefeed.declaration.models.table_settings import Cursor
from lakefeed.source.inspection.types import CursorKind

CursorValue = dt.datetime | dt.date | int


def horizon_for(kind: CursorKind, horizon: dt.datetime, cursor: Cursor) -> CursorValue | None:
    """The safe horizon in the cursor's terms; None for numbers, which have none.

    A day isn't safe until it is over, so the horizon of a date is the day before.
    """
    if kind == "timestamptz":
        return horizon
    local = horizon.astimezone(ZoneInfo(cursor.timezone or "UTC"))
    if kind == "timestamp":
        return _earliest_to_come(local)
    return local.date() - dt.timedelta(days=1) if kind == "date" else None


def _earliest_to_come(local: dt.datetime) -> dt.datetime:
    """The smallest local time that clocks may show from now on.

    In the hour before clocks go back, that hour is still to come a second time.
    """
    first, second = (local.replace(fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None and second is not None
    repeats = dt.timedelta(0) if local.fold else max(first - second, dt.timedelta(0))
    return local.replace(tzinfo=None, fold=0) - repeats


def reading_start(
    checkpoint: CursorValue | None,
    horizon: CursorValue | None,
    lookback: dt.timedelta | int,
    floor: CursorValue | None,
) -> CursorValue | None:
    """`min(checkpoint, horizon) - lookback`, inclusive, and never below the declared start.

    None means: from the beginning.
    """
    if checkpoint is None:
        return floor
    start = checkpoint if horizon is None else _smaller(checkpoint, horizon)
    start = _minus(start, lookback)
    return start if floor is None else _larger(start, floor)


def next_checkpoint(
    newest: CursorValue | None, horizon: CursorValue | None, before: CursorValue | None
) -> CursorValue | None:
    """The newest cursor value read, but at most the safe horizon; it never moves backwards."""
    if newest is None:
        return before
    reached = newest if horizon is None else _smaller(newest, horizon)
    return reached if before is None else _larger(reached, before)


def as_cursor_value(value: CursorValue | None, kind: CursorKind) -> CursorValue | None:
    """A value from YAML, the command line, a load manifest or dlt's state, as this cursor kind."""
    if value is None or kind == "number":
        return value
    if kind == "date":
        return value.date() if isinstance(value, dt.datetime) else value
    moment = (
        value
        if isinstance(value, dt.datetime)
        else dt.datetime.combine(cast(dt.date, value), dt.time())
    )
    if kind == "timestamp":
        return moment.replace(tzinfo=None)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def parsed_checkpoint(noted: str, kind: CursorKind) -> CursorValue | None:
    """The checkpoint that a manifest notes, as this cursor kind; None if it was of another one."""
    try:
        value = int(noted) if kind == "number" else dt.datetime.fromisoformat(noted)
    except ValueError:
        # The column's type changed from number to time, or back: the table is read whole.
        return None
    return as_cursor_value(value, kind)


def moment_of(value: CursorValue, zone: str) -> dt.datetime:
    """The point in time that a date or timestamp cursor denotes."""
    moment = value if isinstance(value, dt.datetime) else as_cursor_value(value, "timestamp")
    return in_zone(cast(dt.datetime, moment), ZoneInfo(zone))


@overload
def in_zone(value: dt.datetime, zone: ZoneInfo) -> dt.datetime: ...
@overload
def in_zone(value: CursorValue | None, zone: ZoneInfo) -> CursorValue | None: ...
def in_zone(value: CursorValue | None, zone: ZoneInfo) -> CursorValue | None:
    """A time in this zone; a naive one is in this zone already."""
    if not isinstance(value, dt.datetime):
        return value
    return value.astimezone(zone) if value.tzinfo else value.replace(tzinfo=zone)


def largest(kind: CursorKind) -> CursorValue:
    """The largest value of this cursor kind, for a backfill with an open end."""
    if kind == "number":
        return 2**63 - 1
    if kind == "date":
        return dt.date.max
    end = dt.datetime(9999, 12, 31)
    return end.replace(tzinfo=dt.UTC) if kind == "timestamptz" else end


def _minus(value: CursorValue, lookback: dt.timedelta | int) -> CursorValue:
    if isinstance(value, int):
        return value - (lookback if isinstance(lookback, int) else 0)
    if not isinstance(lookback, dt.timedelta):
        return value
    if isinstance(value, dt.datetime):
        return value - lookback
    whole_days = -(-lookback // dt.timedelta(days=1))
    return value - dt.timedelta(days=whole_days)


def _smaller(a: CursorValue, b: CursorValue) -> CursorValue:
    return min(a, b)


def _larger(a: CursorValue, b: CursorValue) -> CursorValue:
    return max(a, b)
