"""What is said of a lookback, from how late rows came."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from lakefeed.orchestration.reports.lateness import Lateness, advice_on, spans_to_count, told


def minutes(number: float) -> dt.timedelta:
    return dt.timedelta(minutes=number)


def lateness(lookback: dt.timedelta, *late: dt.timedelta, rows: int = 100) -> Lateness:
    """As it is counted of rows that came so late."""
    above = {span: sum(1 for one in late if one > span) for span in spans_to_count(lookback)}
    return Lateness(lookback, 12, rows, above, max(late, default=dt.timedelta(0)))


def advice(lateness: Lateness) -> str:
    return " ".join(advice_on(lateness))


def test_it_says_what_would_have_been_enough_and_what_less_would_have_missed() -> None:
    late = [minutes(3)] * 1201 + [minutes(13.5)] * 3

    assert advice(lateness(minutes(30), *late, rows=5000)) == (
        "All 1,204 late rows came within 14 min; the lookback is 30 min. 15 min would have been "
        "enough. With 10 min, 3 rows would have been missed."
    )


def test_a_row_as_late_as_a_lookback_is_caught_by_it() -> None:
    """A load reads from its start on, inclusive."""
    found = lateness(minutes(30), minutes(10))

    assert found.missed_with(minutes(10)) == 0
    assert "10 min would have been enough. With 5 min, 1 row would have been missed." in advice(
        found
    )


def test_rows_that_come_close_to_the_lookback_are_a_warning() -> None:
    assert "others may have come later, unseen" in advice(lateness(minutes(30), minutes(29)))
    assert "unseen" not in advice(lateness(minutes(30), minutes(20)))


def test_rows_later_than_the_lookback_of_now_would_be_missed_now() -> None:
    found = lateness(minutes(10), minutes(5), minutes(45), minutes(50))

    assert advice(found) == (
        "3 late rows came within 50 min; the lookback is 10 min now. With 10 min, 2 rows would "
        "have been missed. 1 h would have missed none."
    )
    assert "found anyway" in advice(replace(found, finds_returned=True))


def test_with_no_lookback_late_rows_can_not_be_seen_and_it_says_so() -> None:
    assert "none could have been seen" in advice(lateness(minutes(0)))
    assert "without a lookback, nothing would have been missed" in advice(lateness(minutes(30)))


def test_nothing_is_said_before_a_load_has_gone_on_from_a_checkpoint() -> None:
    assert "nothing to tell" in advice(Lateness(minutes(30), 0, 0, {}))


def test_a_cursor_of_days_is_compared_with_whole_days_alone() -> None:
    found = replace(lateness(3 * dt.timedelta(1), dt.timedelta(1)), whole_days=True)

    assert "1 day would have been enough. Without one, 1 row would have been missed." in advice(
        found
    )


def test_late_rows_are_counted_between_bounds_of_which_the_lookback_is_one() -> None:
    found = lateness(minutes(15), minutes(0.5), minutes(12), minutes(20), minutes(3000))

    assert [(told(upper) if upper else None, rows) for upper, rows in found.buckets] == [
        *(("1 min", 1), ("10 min", 0), ("15 min", 1), ("30 min", 1), ("2 h", 0), ("1 day", 0)),
        (None, 1),
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 s"), (45, "45 s"), (90, "1 min 30 s"), (5400, "1 h 30 min"), (172800, "2 days")],
)
def test_spans_are_said_in_their_largest_unit(seconds: int, said: str) -> None:
    assert told(dt.timedelta(seconds=seconds)) == said
