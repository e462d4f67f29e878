"""Where a load starts to read, and how far the checkpoint may move."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from lakefeed.declaration.models.table_settings import Cursor
from lakefeed.loading.plan.cursors import (
    CursorValue,
    as_cursor_value,
    horizon_for,
    next_checkpoint,
    reading_start,
)

UTC = dt.UTC
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = dt.timedelta(hours=1)
PARIS = Cursor(column="at", timezone="Europe/Paris")


def test_the_first_load_starts_at_the_declared_value_or_at_the_beginning() -> None:
    assert reading_start(None, NOON, HOUR, NOON - 5 * HOUR) == NOON - 5 * HOUR
    assert reading_start(None, NOON, HOUR, None) is None


def test_reading_starts_a_lookback_below_the_checkpoint() -> None:
    assert reading_start(NOON, NOON + HOUR, HOUR, None) == NOON - HOUR


def test_reading_starts_at_the_horizon_if_the_checkpoint_is_beyond_it() -> None:
    assert reading_start(NOON + 24 * HOUR, NOON, HOUR, None) == NOON - HOUR


def test_reading_never_starts_below_the_declared_value() -> None:
    assert reading_start(NOON, NOON, 24 * HOUR, NOON - HOUR) == NOON - HOUR


def test_a_numeric_cursor_takes_a_plain_number_as_lookback() -> None:
    assert reading_start(100, None, 10, None) == 90
    assert reading_start(100, None, dt.timedelta(0), None) == 100


@pytest.mark.parametrize(("lookback", "day"), [(dt.timedelta(0), 9), (HOUR, 8), (25 * HOUR, 7)])
def test_the_lookback_of_a_date_cursor_is_rounded_up_to_whole_days(
    lookback: dt.timedelta, day: int
) -> None:
    checkpoint = dt.date(2026, 3, 9)

    assert reading_start(checkpoint, None, lookback, None) == dt.date(2026, 3, day)


def test_the_checkpoint_follows_the_rows_up_to_the_horizon_and_never_goes_back() -> None:
    assert next_checkpoint(NOON, NOON + HOUR, None) == NOON
    assert next_checkpoint(NOON + 5 * HOUR, NOON, None) == NOON
    assert next_checkpoint(NOON - HOUR, NOON, NOON) == NOON
    assert next_checkpoint(None, NOON, NOON - HOUR) == NOON - HOUR
    assert next_checkpoint(7, None, 5) == 7


def test_a_day_is_not_safe_until_it_is_over() -> None:
    just_before_midnight_in_paris = dt.datetime(2026, 3, 1, 22, 59, tzinfo=UTC)

    assert horizon_for("date", just_before_midnight_in_paris, PARIS) == dt.date(2026, 2, 28)
    assert horizon_for("date", just_before_midnight_in_paris + HOUR, PARIS) == dt.date(2026, 3, 1)


def test_a_numeric_cursor_has_no_horizon() -> None:
    assert horizon_for("number", NOON, Cursor(column="id")) is None


@pytest.mark.parametrize(
    ("now", "horizon"),
    [
        (dt.datetime(2026, 10, 24, 23, 59, tzinfo=UTC), dt.datetime(2026, 10, 25, 1, 59)),
        # Clocks in Paris go back from 3:00 to 2:00 at 1:00 UTC: 2:30 comes twice.
        (dt.datetime(2026, 10, 25, 0, 30, tzinfo=UTC), dt.datetime(2026, 10, 25, 1, 30)),
        (dt.datetime(2026, 10, 25, 1, 30, tzinfo=UTC), dt.datetime(2026, 10, 25, 2, 30)),
        (dt.datetime(2026, 3, 29, 0, 59, tzinfo=UTC), dt.datetime(2026, 3, 29, 1, 59)),
        (dt.datetime(2026, 3, 29, 1, 1, tzinfo=UTC), dt.datetime(2026, 3, 29, 3, 1)),
    ],
)
def test_the_horizon_of_timestamps_without_time_zone_allows_for_clocks_going_back(
    now: dt.datetime, horizon: dt.datetime
) -> None:
    assert horizon_for("timestamp", now, PARIS) == horizon


def test_no_row_is_lost_when_clocks_go_back() -> None:
    """A row is written and loaded every five minutes: each load starts at or below its row."""
    checkpoint: CursorValue | None = None
    for step in range(60):
        now = dt.datetime(2026, 10, 24, 23, tzinfo=UTC) + dt.timedelta(minutes=5 * step)
        row = (now - dt.timedelta(minutes=1)).astimezone(ZoneInfo("Europe/Paris"))
        written = row.replace(tzinfo=None)
        horizon = horizon_for("timestamp", now, PARIS)
        start = reading_start(checkpoint, horizon, dt.timedelta(0), None)
        assert start is None or start <= written
        checkpoint = next_checkpoint(written, horizon, checkpoint)


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (dt.date(2026, 3, 1), "timestamptz", dt.datetime(2026, 3, 1, tzinfo=UTC)),
        (dt.date(2026, 3, 1), "timestamp", dt.datetime(2026, 3, 1)),
        (NOON, "date", dt.date(2026, 3, 1)),
        (NOON, "timestamp", dt.datetime(2026, 3, 1, 12)),
        (7, "number", 7),
        (None, "date", None),
    ],
)
def test_values_are_converted_to_the_kind_of_the_cursor(
    value: CursorValue | None, kind: str, expected: CursorValue | None
) -> None:
    assert as_cursor_value(value, kind) == expected  # type: ignore[arg-type]
