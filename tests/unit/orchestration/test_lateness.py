"""Advice on the lookback, from how late rows arrived."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from lakefeed.orchestration.reports.lateness import (
    Lateness,
    advice_on,
    duration_text,
    spans_to_count,
)


def minutes(number: float) -> dt.timedelta:
    return dt.timedelta(minutes=number)


def lateness(lookback: dt.timedelta, *late: dt.timedelta, rows: int = 100) -> Lateness:
    """The lateness of rows that arrived this late."""
    above = {span: sum(by > span for by in late) for span in spans_to_count(lookback)}
    return Lateness(
        lookback=lookback,
        loads=12,
        rows=rows,
        above=above,
        longest=max(late, default=dt.timedelta(0)),
    )


def advice(lateness: Lateness) -> str:
    return " ".join(advice_on(lateness))


def test_names_the_shortest_sufficient_lookback_and_the_rows_a_shorter_one_misses() -> None:
    late = [minutes(3)] * 1201 + [minutes(13.5)] * 3

    assert advice(lateness(minutes(30), *late, rows=5000)) == (
        "All 1,204 late rows arrived within 14 min; the lookback is 30 min. 15 min would have "
        "been enough. With 10 min, 3 rows would have been missed."
    )


def test_a_lookback_catches_a_row_exactly_as_late() -> None:
    # The start of a load's window is inclusive.
    found = lateness(minutes(30), minutes(10))

    assert found.missed_with(minutes(10)) == 0
    assert "10 min would have been enough. With 5 min, 1 row would have been missed." in advice(
        found
    )


def test_warns_if_rows_arrive_close_to_the_lookback() -> None:
    warning = "later rows may have been missed"

    assert warning in advice(lateness(minutes(30), minutes(29)))
    assert warning not in advice(lateness(minutes(30), minutes(20)))


def test_reports_rows_that_the_current_lookback_would_miss() -> None:
    found = lateness(minutes(10), minutes(5), minutes(45), minutes(50))

    assert advice(found) == (
        "3 late rows arrived within 50 min; the lookback is now 10 min. With 10 min, 2 rows would "
        "have been missed. 1 h would have missed none."
    )
    assert "rows that returned after a delete" in advice(replace(found, finds_returned=True))


def test_says_that_late_rows_are_invisible_without_a_lookback() -> None:
    assert "Without a lookback, late rows can't be seen" in advice(lateness(minutes(0)))
    assert "without a lookback, nothing would have been missed" in advice(lateness(minutes(30)))


def test_lateness_is_unknown_before_a_load_continues_from_a_checkpoint() -> None:
    assert "lateness isn't known" in advice(Lateness(minutes(30), 0, 0, {}))


def test_a_date_cursor_is_compared_with_whole_days_only() -> None:
    found = replace(lateness(3 * dt.timedelta(1), dt.timedelta(1)), whole_days=True)

    assert (
        "1 day would have been enough. Without a lookback, 1 row would have been missed."
        in advice(found)
    )


def test_late_rows_are_counted_in_buckets_bounded_by_the_lookback_too() -> None:
    found = lateness(minutes(15), minutes(0.5), minutes(12), minutes(20), minutes(3000))

    assert [(duration_text(upper) if upper else None, rows) for upper, rows in found.buckets] == [
        *(("1 min", 1), ("10 min", 0), ("15 min", 1), ("30 min", 1), ("2 h", 0), ("1 day", 0)),
        (None, 1),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (45, "45 s"), (90, "1 min 30 s"), (5400, "1 h 30 min"), (172800, "2 days")],
)
def test_durations_are_shown_in_their_largest_unit(seconds: int, text: str) -> None:
    assert duration_text(dt.timedelta(seconds=seconds)) == text
