"""Baselines for anomalies: what is usual for a table, computed from its own past.

A value is usual within the median ± 6 spreads: medians, since a few odd days don't move them. The
spread is the median absolute deviation times 1.4826, which equals the standard deviation for
normally distributed values, and at least the variation that chance alone produces. A table's past
is its last 8 weeks; a table younger than 14 days isn't judged.
(tests/unit/orchestration/test_baselines.py simulates weeks of loads.)
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

# With this many past days of the same weekday, a day is compared with those alone.
_SAME_WEEKDAYS = 4
_TO_DEVIATION = 1.4826
# However regular the past, volumes may vary by 4 % and shares by a percentage point.
_LEAST_RELATIVE = 0.04
_LEAST_SHARE = 0.01
# New rows may take this much longer than usual; the longest gaps are ignored as outages.
_PATIENCE = 1.5
_ODD_GAPS = 2


@dataclass(frozen=True)
class Usual:
    """The bounds of what is usual, and the past that they are based on, such as `8 Mondays`."""

    low: float
    high: float
    basis: str

    def has(self, value: float) -> bool:
        return self.low <= value <= self.high


def usual_volume(day: dt.date, past: Mapping[dt.date, int]) -> Usual | None:
    """The usual number of rows on a day; None if the past is too short or usually brings none.

    After four weeks, a day is compared with the same day of the week. Before that, it is compared
    with all days, and anything from half the lowest to twice the highest of them is usual too,
    since they may include weekends.

    Args:
        past: rows by day, days without rows included.
    """
    recent = {d: rows for d, rows in past.items() if 0 < (day - d).days <= DAYS_BACK}
    same_weekday = [rows for d, rows in recent.items() if d.weekday() == day.weekday()]
    if len(recent) < LEAST_DAYS:
        return None
    if len(same_weekday) < _SAME_WEEKDAYS:
        values = list(recent.values())
        usual = _around(values, _by_chance(median(values)))
        seen = (min(values) / 2, max(values) * 2)
        return _widened(usual, seen, f"{len(values)} days")
    centre = median(same_weekday)
    if centre == 0:
        return None
    spread = max(centre * _relative_spread(recent, day.weekday()), _by_chance(centre))
    basis = f"{len(same_weekday)} {day:%A}s"
    return Usual(max(centre - WIDTH * spread, 0), centre + WIDTH * spread, basis)


def usual_share(past: Sequence[float], rows: int) -> Usual | None:
    """The usual share of rows; None if the past is too short. Any past share is usual.

    Args:
        rows: the number of rows behind the share to judge: the fewer, the more it scatters.
    """
    if len(past) < LEAST_VALUES:
        return None
    likely = min(max(median(past), 1 / rows), 1 - 1 / rows)
    least = max(math.sqrt(likely * (1 - likely) / rows), _LEAST_SHARE)
    return _widened(_around(past, least), past, f"{len(past)} days")


def usual_change(before: Sequence[int]) -> Usual | None:
    """The usual change in rows of a fully refreshed table; None if the past is too short.

    Args:
        before: the rows of each earlier refresh, in order.
    """
    changes = [later - earlier for earlier, later in pairwise(before)]
    if len(changes) < LEAST_VALUES:
        return None
    bounds = _around(changes, _by_chance(before[-1]))
    return _widened(bounds, changes, f"{len(changes)} refreshes")


def usual_gap(moments: Sequence[dt.datetime]) -> dt.timedelta | None:
    """The longest usual gap between arrivals; None if the past is too short.

    That is the third-longest gap, since nights and weekends recur and outages don't; in the first
    four weeks, which have few weekends, the longest.
    """
    gaps = sorted(later - earlier for earlier, later in pairwise(moments))
    if len(gaps) < LEAST_VALUES or moments[-1] - moments[0] < dt.timedelta(LEAST_DAYS):
        return None
    is_young = moments[-1] - moments[0] < dt.timedelta(2 * LEAST_DAYS)
    return gaps[-1] if is_young else gaps[-1 - _ODD_GAPS]


def is_overdue(age: dt.timedelta, usual: dt.timedelta) -> bool:
    """Whether rows have been missing for half as long again as usual."""
    return age > _PATIENCE * usual


def _around(values: Sequence[float], least_spread: float) -> Usual:
    centre = median(values)
    distance = median(abs(value - centre) for value in values)
    spread = max(_TO_DEVIATION * distance, least_spread)
    return Usual(centre - WIDTH * spread, centre + WIDTH * spread, "")


def _widened(usual: Usual, values: Sequence[float], basis: str) -> Usual:
    return Usual(min(usual.low, *values), max(usual.high, *values), basis)


def _by_chance(rows: float) -> float:
    return max(_LEAST_RELATIVE * rows, math.sqrt(rows))


def _relative_spread(past: Mapping[dt.date, int], weekday: int) -> float:
    """The typical distance of days from the median of their weekday, as a share of that median.

    A share, since a weekend may bring a tenth or ten times as much. The larger of this weekday's
    and all days' together: eight Mondays alone are too few to show how they scatter.
    """
    by_weekday: dict[int, list[int]] = {}
    for day, rows in past.items():
        by_weekday.setdefault(day.weekday(), []).append(rows)
    distances = {day: _relative_distances(rows) for day, rows in by_weekday.items()}
    all_distances = [distance for of_day in distances.values() for distance in of_day]
    return _TO_DEVIATION * max(median(all_distances), median(distances[weekday]))


def _relative_distances(values: Sequence[int]) -> list[float]:
    """Distances from the median, widened since few values lie closer to their own median."""
    centre = median(values)
    widened = len(values) / max(len(values) - 1, 1)
    return [widened * abs(value - centre) / centre for value in values] if centre else []
