"""What is usual for a table, told from its own past: medians, which a few odd days don't move.

The rule: *usual* is the median ± 6 spreads. The spread is the median distance from the median,
times 1.4826 (so that it equals the standard deviation where values scatter normally), and no less
than what chance alone brings. Nothing is said of a table before it has a past of 14 days, and its
past is the last 8 weeks. (tests/unit/orchestration/test_usual.py simulates weeks of loads.)
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

DAYS_BACK = 56
LEAST_DAYS = 14
LEAST_VALUES = 7
WIDTH = 6

# From so many on, a day is held against the same days of the week alone.
_SAME_WEEKDAYS = 4
_TO_DEVIATION = 1.4826
# Volumes that are ever so regular may still move by so much, and shares by a point.
_LEAST_RELATIVE = 0.04
_LEAST_SHARE = 0.01
# How much longer than usual the next rows may be in coming; how many odd gaps are passed over.
_PATIENCE = 1.5
_ODD_GAPS = 2


@dataclass(frozen=True)
class Usual:
    """The bounds of what is usual, and what they were told from: `8 Mondays`."""

    low: float
    high: float
    told_from: str

    def has(self, value: float) -> bool:
        return self.low <= value <= self.high


def usual_volume(day: dt.date, past: Mapping[dt.date, int]) -> Usual | None:
    """How many rows a day usually brings; None where its past is short or brings none as a rule.

    From four weeks on a day is held against the same day of the week. Before, it is held against
    all days, and from half the least to twice the most that any of them brought is usual as well:
    there may be weekends among them.

    Args:
        past: rows by day, days without rows included.
    """
    recent = {one: rows for one, rows in past.items() if 0 < (day - one).days <= DAYS_BACK}
    alike = [rows for one, rows in recent.items() if one.weekday() == day.weekday()]
    if len(recent) < LEAST_DAYS:
        return None
    if len(alike) < _SAME_WEEKDAYS:
        values = list(recent.values())
        usual = _around(values, _by_chance(median(values)))
        seen = (min(values) / 2, max(values) * 2)
        return _widened(usual, seen, f"{len(values)} days")
    centre = median(alike)
    if centre == 0:
        return None
    spread = max(centre * _relative_spread(recent, day.weekday()), _by_chance(centre))
    told_from = f"{len(alike)} {day:%A}s"
    return Usual(max(centre - WIDTH * spread, 0), centre + WIDTH * spread, told_from)


def usual_share(past: Sequence[float], rows: int) -> Usual | None:
    """Which share of rows is usual; None where the past is short. What there was is usual.

    Args:
        rows: of how many rows the share is that is to be judged: few rows scatter more.
    """
    if len(past) < LEAST_VALUES:
        return None
    likely = min(max(median(past), 1 / rows), 1 - 1 / rows)
    least = max(math.sqrt(likely * (1 - likely) / rows), _LEAST_SHARE)
    return _widened(_around(past, least), past, f"{len(past)} days")


def usual_change(before: Sequence[int]) -> Usual | None:
    """By how many rows a table that is read whole usually changes; None where the past is short.

    Args:
        before: how many rows each refresh before held, in order.
    """
    changes = [later - earlier for earlier, later in pairwise(before)]
    if len(changes) < LEAST_VALUES:
        return None
    bounds = _around(changes, _by_chance(before[-1]))
    return _widened(bounds, changes, f"{len(changes)} refreshes")


def usual_gap(moments: Sequence[dt.datetime]) -> dt.timedelta | None:
    """The longest that rows are usually in coming; None where the past is short.

    The longest gap but two, since nights and weekends return and an outage doesn't; in the first
    four weeks, which have few weekends, the longest of all.
    """
    gaps = sorted(later - one for one, later in pairwise(moments))
    if len(gaps) < LEAST_VALUES or moments[-1] - moments[0] < dt.timedelta(LEAST_DAYS):
        return None
    is_young = moments[-1] - moments[0] < dt.timedelta(2 * LEAST_DAYS)
    return gaps[-1] if is_young else gaps[-1 - _ODD_GAPS]


def is_overdue(age: dt.timedelta, usual: dt.timedelta) -> bool:
    """Whether rows are in coming for half as long again as is usual."""
    return age > _PATIENCE * usual


def _around(values: Sequence[float], least_spread: float) -> Usual:
    centre = median(values)
    distance = median(abs(value - centre) for value in values)
    spread = max(_TO_DEVIATION * distance, least_spread)
    return Usual(centre - WIDTH * spread, centre + WIDTH * spread, "")


def _widened(usual: Usual, values: Sequence[float], told_from: str) -> Usual:
    return Usual(min(usual.low, *values), max(usual.high, *values), told_from)


def _by_chance(rows: float) -> float:
    return max(_LEAST_RELATIVE * rows, math.sqrt(rows))


def _relative_spread(past: Mapping[dt.date, int], weekday: int) -> float:
    """How far days lie from the median of their day of the week, as a share of it.

    As a share, since a weekend may bring a tenth, or ten times as much. That of all days together
    or of this day of the week, if that is more: eight Mondays alone say little of how they scatter.
    """
    by_weekday: dict[int, list[int]] = {}
    for day, rows in past.items():
        by_weekday.setdefault(day.weekday(), []).append(rows)
    distances = {one: _relative_distances(rows) for one, rows in by_weekday.items()}
    of_all = [distance for one in distances.values() for distance in one]
    return _TO_DEVIATION * max(median(of_all), median(distances[weekday]))


def _relative_distances(values: Sequence[int]) -> list[float]:
    """Widened for being few: their own median lies closer to them than the true one."""
    centre = median(values)
    widened = len(values) / max(len(values) - 1, 1)
    return [widened * abs(value - centre) / centre for value in values] if centre else []
