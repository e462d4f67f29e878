"""Measures how late rows arrive and advises on the lookback.

A load reads from `min(checkpoint, horizon) - lookback`. A row below `min(checkpoint, horizon)` that
isn't in raw yet is a late row; its lateness is its distance from that bound, and a load with a
shorter lookback would have missed it. Rows of transactions that were still open lie above the
safe horizon and need no lookback.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lakefeed.wording import counted, duration_text

ZERO = dt.timedelta(0)
_DAY = dt.timedelta(days=1)

# Upper bounds of the buckets in which late rows are counted.
BUCKETS = tuple(
    dt.timedelta(minutes=minutes) for minutes in (1, 10, 30, 2 * 60, 24 * 60)
)  # fmt: skip
# Common lookbacks, to compare with.
_LOOKBACKS = tuple(
    dt.timedelta(minutes=minutes)
    for minutes in (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 4320, 10080)
)
# If the latest row came this close to the lookback, later ones may have been missed.
_CLOSE = 0.8


@dataclass(frozen=True)
class Lateness:
    """How late the rows of a table's past loads arrived.

    Attributes:
        lookback: the declared lookback.
        loads: the number of loads that continued a checkpoint.
        rows: the rows of these loads.
        above: how many of these rows were later than each of several spans, including zero.
        longest: the lateness of the latest row.
        whole_days: whether the cursor is a date, so that a lookback counts in whole days.
        finds_returned: whether rows that return after a delete are read regardless of the lookback.
    """

    lookback: dt.timedelta
    loads: int
    rows: int
    above: Mapping[dt.timedelta, int]
    longest: dt.timedelta = ZERO
    whole_days: bool = False
    finds_returned: bool = False

    @property
    def lookbacks(self) -> list[dt.timedelta]:
        """Lookbacks to compare with, shortest first."""
        return [lookback for lookback in _LOOKBACKS if not self.whole_days or lookback >= _DAY]

    @property
    def late(self) -> int:
        return self.above.get(ZERO, 0)

    @property
    def beyond(self) -> int:
        """Rows that arrived later than the declared lookback allows."""
        return self.above.get(self.lookback, 0)

    def missed_with(self, lookback: dt.timedelta) -> int:
        """The number of rows that this lookback would have missed."""
        return self.above[lookback]

    @property
    def buckets(self) -> list[tuple[dt.timedelta | None, int]]:
        """Late rows counted by lateness, up to each bound; None stands for later than all bounds.

        The declared lookback is one of the bounds.
        """
        bounds = sorted({ZERO, *BUCKETS, self.lookback})
        counts: list[tuple[dt.timedelta | None, int]] = [
            (upper, self.above[lower] - self.above[upper]) for lower, upper in pairwise(bounds)
        ]
        return [*counts, (None, self.above[bounds[-1]])] if self.above else []


def spans_to_count(lookback: dt.timedelta) -> list[dt.timedelta]:
    """The spans that `Lateness.above` must contain."""
    return sorted({ZERO, *BUCKETS, *_LOOKBACKS, lookback})


def advice_on(lateness: Lateness) -> Sequence[str]:
    """Says, in sentences, what another lookback would have missed."""
    if not lateness.loads:
        return ("No load has continued from a checkpoint yet, so lateness isn't known.",)
    if not lateness.late:
        return _none_late(lateness)
    sentences = _some_beyond(lateness) if lateness.beyond else _all_within(lateness)
    if lateness.finds_returned:
        sentences.append(
            "This includes rows that returned after a delete, which are loaded with any lookback."
        )
    return sentences


def _none_late(lateness: Lateness) -> Sequence[str]:
    none_late = (
        f"None of {counted(lateness.rows, 'row')} in {counted(lateness.loads, 'load')} arrived late"
    )
    if not lateness.lookback:
        return (f"{none_late}. Without a lookback, late rows can't be seen.",)
    return (
        f"{none_late}: without a lookback, nothing would have been missed. "
        f"The lookback is {duration_text(lateness.lookback)}.",
    )


def _all_within(lateness: Lateness) -> list[str]:
    longest = _rounded_up(lateness.longest)
    sentences = [
        f"{_all_late_rows(lateness.late)} arrived within {duration_text(longest)}; the lookback is "
        f"{duration_text(lateness.lookback)}.",
    ]
    enough = _shortest_sufficient(lateness)
    shorter = [
        lookback
        for lookback in lateness.lookbacks
        if lateness.above[lookback] and lookback < lateness.lookback
    ]
    if enough and enough < lateness.lookback:
        sentences.append(f"{duration_text(enough)} would have been enough.")
    sentences.append(_would_have_missed(lateness, shorter[-1] if shorter else ZERO))
    if lateness.longest > _CLOSE * lateness.lookback:
        sentences.append("That is close to the lookback: later rows may have been missed.")
    return sentences


def _some_beyond(lateness: Lateness) -> list[str]:
    """Advice when rows arrived later than the lookback.

    Such rows were loaded with a longer lookback, or because they returned after a delete.
    """
    longest = duration_text(_rounded_up(lateness.longest))
    sentences = [
        f"{counted(lateness.late, 'late row')} arrived within {longest}; the lookback is now "
        f"{duration_text(lateness.lookback)}.",
        _would_have_missed(lateness, lateness.lookback),
    ]
    if enough := _shortest_sufficient(lateness):
        sentences.append(f"{duration_text(enough)} would have missed none.")
    return sentences


def _shortest_sufficient(lateness: Lateness) -> dt.timedelta | None:
    """The shortest common lookback that would have missed nothing."""
    return next((span for span in lateness.lookbacks if span >= lateness.longest), None)


def _would_have_missed(lateness: Lateness, lookback: dt.timedelta) -> str:
    missed = lateness.missed_with(lookback)
    given = f"With {duration_text(lookback)}" if lookback else "Without a lookback"
    return f"{given}, {counted(missed, 'row')} would have been missed."


def _rounded_up(span: dt.timedelta) -> dt.timedelta:
    """Rounded up to a second or minute, so that "within" is true."""
    unit = 60 if span.total_seconds() >= 120 else 1
    return dt.timedelta(seconds=-(-span.total_seconds() // unit) * unit)


def _all_late_rows(rows: int) -> str:
    return "The only late row" if rows == 1 else f"All {rows:,} late rows"
