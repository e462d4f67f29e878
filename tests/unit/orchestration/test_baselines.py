"""Baselines, checked on simulated weeks of loads and the day that follows."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from lakefeed.orchestration.checks.baselines import (
    is_overdue,
    usual_change,
    usual_gap,
    usual_share,
    usual_volume,
)

MONDAY = dt.date(2026, 3, 2)


def every_day(_day: dt.date, chance: random.Random) -> int:
    return round(chance.gauss(1300, 60))


def no_weekends(day: dt.date, chance: random.Random) -> int:
    return 0 if day.weekday() >= 5 else round(chance.gauss(1300, 100))


def quiet_weekends(day: dt.date, chance: random.Random) -> int:
    return round(chance.gauss(80, 15) if day.weekday() >= 5 else chance.gauss(1300, 100))


def busy_weekends(day: dt.date, chance: random.Random) -> int:
    return round(chance.gauss(5000, 400) if day.weekday() >= 5 else chance.gauss(200, 20))


def only_mondays(day: dt.date, chance: random.Random) -> int:
    return round(chance.gauss(900, 30)) if day.weekday() == 0 else 0


def growing(day: dt.date, chance: random.Random) -> int:
    return round(chance.gauss(1, 0.05) * 1000 * 1.01 ** (day - MONDAY).days)


def few_rows(_day: dt.date, chance: random.Random) -> int:
    return sum(chance.random() < 0.04 for _ in range(100))


def now_and_then(_day: dt.date, chance: random.Random) -> int:
    return chance.choice((3, 50, 700)) if chance.random() < 0.2 else 0


def constant(_day: dt.date, _chance: random.Random) -> int:
    return 240


REGULAR = (
    every_day, no_weekends, quiet_weekends, busy_weekends, only_mondays, growing, few_rows, constant
)  # fmt: skip
Shape = Callable[[dt.date, random.Random], int]


def days(shape: Shape, number: int, seed: int = 7) -> dict[dt.date, int]:
    chance = random.Random(seed)
    listed = [MONDAY + dt.timedelta(n) for n in range(number)]
    return {day: max(shape(day, chance), 0) for day in listed}


def alarms(past: dict[dt.date, int]) -> list[str]:
    """Each day as it would have been judged on the day after."""
    return [
        f"{day:%A} {day}: {rows} in {usual}"
        for day, rows in past.items()
        if (usual := usual_volume(day, past)) and not usual.has(rows)
    ]


@pytest.mark.parametrize("shape", REGULAR, ids=lambda shape: shape.__name__)
@pytest.mark.parametrize("seed", range(3))
def test_twenty_regular_weeks_raise_no_alarm(shape: Shape, seed: int) -> None:
    assert alarms(days(shape, 140, seed)) == []


@pytest.mark.parametrize("weeks", [2, 3, 4, 5, 12])
@pytest.mark.parametrize("shape", [every_day, no_weekends, quiet_weekends, constant])
def test_a_day_with_almost_no_rows_is_unusual(shape: Shape, weeks: int) -> None:
    past = days(shape, 7 * weeks)
    monday = MONDAY + dt.timedelta(7 * weeks)

    usual = usual_volume(monday, past)

    assert usual is not None
    # Before there are four Mondays, a Monday may be as empty as a weekend.
    assert usual.has(3) == (weeks < 4 and shape is no_weekends)
    assert not usual.has(9000)


def test_an_empty_sunday_is_usual_if_sundays_are_empty_but_an_empty_monday_is_not() -> None:
    past = days(no_weekends, 63)
    sunday, monday = MONDAY + dt.timedelta(62), MONDAY + dt.timedelta(63)

    assert usual_volume(sunday, past) is None
    usual = usual_volume(monday, past)
    assert usual is not None
    assert not usual.has(0)
    assert usual.basis == "8 Mondays"


def test_a_past_outage_or_flood_barely_changes_the_baseline() -> None:
    past = days(every_day, 56)
    odd = {**past, MONDAY + dt.timedelta(21): 0, MONDAY + dt.timedelta(35): 90_000}
    monday = MONDAY + dt.timedelta(56)

    before, after = usual_volume(monday, past), usual_volume(monday, odd)

    assert before is not None
    assert after is not None
    assert not after.has(500)
    assert not after.has(3000)
    assert after.low == pytest.approx(before.low, rel=0.2)


@pytest.mark.parametrize("number", range(14))
def test_a_table_younger_than_two_weeks_has_no_baseline(number: int) -> None:
    assert usual_volume(MONDAY + dt.timedelta(number), days(every_day, number)) is None


def test_a_table_that_changes_now_and_then_has_no_baseline() -> None:
    assert usual_volume(MONDAY + dt.timedelta(140), days(now_and_then, 140)) is None


class TestShares:
    PAST = (0.01, 0.02, 0.015, 0.0, 0.02, 0.01, 0.005, 0.01, 0.02, 0.01)

    @pytest.mark.parametrize(
        ("share", "rows", "is_usual"),
        [
            (0.41, 500, False),
            (0.02, 500, True),
            (0.05, 500, True),
            # Two of 30 rows say less than 100 of 1,500.
            (0.08, 30, True),
            (0.08, 1500, False),
        ],
    )
    def test_a_share_far_above_the_past_is_unusual(
        self, share: float, rows: int, is_usual: bool
    ) -> None:
        usual = usual_share(self.PAST, rows)

        assert usual is not None
        assert usual.has(share) == is_usual

    def test_a_column_that_lost_its_nulls_is_unusual(self) -> None:
        usual = usual_share((0.5, 0.52, 0.49, 0.5, 0.51, 0.48, 0.5), 1000)

        assert usual is not None
        assert not usual.has(0.0)

    def test_any_past_share_is_usual(self) -> None:
        usual = usual_share((*self.PAST, 0.6), 1000)

        assert usual is not None
        assert usual.has(0.55)

    def test_a_share_has_no_baseline_before_a_week(self) -> None:
        assert usual_share(self.PAST[:6], 1000) is None


class TestRefreshes:
    @pytest.mark.parametrize(
        ("rows", "is_usual"), [(262, True), (255, True), (12, False), (9000, False)]
    )
    def test_a_change_in_size_is_compared_with_earlier_changes(
        self, rows: int, is_usual: bool
    ) -> None:
        sizes = [240, 242, 242, 245, 247, 247, 250, 252, 255]

        usual = usual_change(sizes)

        assert usual is not None
        assert usual.has(rows - sizes[-1]) == is_usual

    def test_a_size_has_no_baseline_before_seven_changes(self) -> None:
        assert usual_change([1, 2, 3, 4, 5, 6, 7]) is None


class TestGaps:
    @staticmethod
    def office_hours(weeks: int, out: tuple[int, ...] = ()) -> list[dt.datetime]:
        """Loads on the hour from 8 to 18, Monday to Friday; none on the days that are out."""
        start = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
        hours = (start + dt.timedelta(hours=n) for n in range(24 * 7 * weeks))
        return [
            one
            for one in hours
            if one.weekday() < 5 and 8 <= one.hour <= 18 and (one - start).days not in out
        ]

    @pytest.mark.parametrize("weeks", [3, 5, 8])
    def test_recurring_nights_and_weekends_are_usual_gaps(self, weeks: int) -> None:
        moments = self.office_hours(weeks)
        seen = moments[: len(moments) - 11]

        usual = usual_gap(seen)

        assert usual == dt.timedelta(hours=62)
        assert not any(is_overdue(later - one, usual) for one, later in pairwise(moments))
        assert is_overdue(dt.timedelta(hours=94), usual)

    def test_two_outages_are_ignored(self) -> None:
        start = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
        up = (n for n in range(24 * 40) if not 100 < n < 130 and not 500 < n < 560)
        every_hour = [start + dt.timedelta(hours=n) for n in up]

        usual = usual_gap(every_hour)

        assert usual == dt.timedelta(hours=1)
        assert is_overdue(dt.timedelta(hours=9), usual)

    def test_two_weeks_or_few_loads_have_no_baseline(self) -> None:
        assert usual_gap(self.office_hours(2)) is None
        assert usual_gap(self.office_hours(8)[::80]) is None
        assert usual_gap([]) is None
