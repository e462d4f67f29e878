"""How late rows arrive, and what that says of the lookback: from plain data.

A load reads from `min(checkpoint, horizon) - lookback` on. A row below `min(checkpoint, horizon)`
that raw didn't have yet came late: by so much it lies below, and with a lookback that is shorter
than that, that load would have missed it. What the horizon brings, rows of transactions that were
still open, is above: no lookback is needed for it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

ZERO = dt.timedelta(0)
_DAY = dt.timedelta(days=1)

# Bounds between which late rows are counted.
BUCKETS = tuple(
    dt.timedelta(minutes=minutes) for minutes in (1, 10, 30, 2 * 60, 24 * 60)
)  # fmt: skip
# Lookbacks that people write, to compare with.
_LADDER = tuple(
    dt.timedelta(minutes=minutes)
    for minutes in (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 4320, 10080)
)
# From so much of the lookback on, there may be rows that came later still.
_CLOSE = 0.8


@dataclass(frozen=True)
class Lateness:
    """How late the rows of a table's past loads came.

    `loads` are those that continued a checkpoint, `rows` what they brought. `above` says how many
    of these came later than each of several spans, zero among them; `longest` is by how much the
    latest came late. With `whole_days` the cursor is a date, and a lookback means whole days.
    `finds_returned` says that rows that come back after they were deleted are read in any case.
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
        """Lookbacks to compare with, the shortest first."""
        return [one for one in _LADDER if not self.whole_days or one >= _DAY]

    @property
    def late(self) -> int:
        return self.above.get(ZERO, 0)

    @property
    def beyond(self) -> int:
        """Rows that came later than today's lookback."""
        return self.above.get(self.lookback, 0)

    def missed_with(self, lookback: dt.timedelta) -> int:
        """How many of these rows this lookback would have missed."""
        return self.above[lookback]

    @property
    def buckets(self) -> list[tuple[dt.timedelta | None, int]]:
        """Late rows by how late they were: up to each bound, and, below None, later than all.

        The lookback is one of the bounds.
        """
        bounds = sorted({ZERO, *BUCKETS, self.lookback})
        counts: list[tuple[dt.timedelta | None, int]] = [
            (upper, self.above[lower] - self.above[upper]) for lower, upper in pairwise(bounds)
        ]
        return [*counts, (None, self.above[bounds[-1]])] if self.above else []


def spans_to_count(lookback: dt.timedelta) -> list[dt.timedelta]:
    """The spans that `Lateness.above` has to know."""
    return sorted({ZERO, *BUCKETS, *_LADDER, lookback})


def advice_on(lateness: Lateness) -> Sequence[str]:
    """What another lookback would have missed, in sentences."""
    if not lateness.loads:
        return ("No load has gone on from a checkpoint yet, so there is nothing to tell.",)
    if not lateness.late:
        return _none_late(lateness)
    said = _some_beyond(lateness) if lateness.beyond else _all_within(lateness)
    if lateness.finds_returned:
        said.append("Rows that came back after they were deleted count here, and are found anyway.")
    return said


def told(span: dt.timedelta) -> str:
    """`45 s`, `14 min`, `2 h`, `3 days`; `1 h 30 min` where the coarser unit alone would lie."""
    seconds = round(span.total_seconds())
    for unit, size, smaller, part in (
        ("day", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            plural = "s" if unit == "day" and whole > 1 else ""
            more = f" {rest // part} {smaller}" if rest // part else ""
            return f"{whole} {unit}{plural}{more}"
    return f"{seconds} s"


def _none_late(lateness: Lateness) -> Sequence[str]:
    came = f"None of {_counted(lateness.rows)} in {_loads(lateness)} came late"
    if not lateness.lookback:
        return (f"{came}. Without a lookback, none could have been seen.",)
    return (
        f"{came}: without a lookback, nothing would have been missed. "
        f"The lookback is {told(lateness.lookback)}.",
    )


def _all_within(lateness: Lateness) -> list[str]:
    longest = _rounded_up(lateness.longest)
    said = [
        f"{_all(lateness.late)} came within {told(longest)}; the lookback is "
        f"{told(lateness.lookback)}.",
    ]
    enough = next((one for one in lateness.lookbacks if one >= lateness.longest), None)
    shorter = [one for one in lateness.lookbacks if lateness.above[one] and one < lateness.lookback]
    if enough and enough < lateness.lookback:
        said.append(f"{told(enough)} would have been enough.")
    said.append(_would_have_missed(lateness, shorter[-1] if shorter else ZERO))
    if lateness.longest > _CLOSE * lateness.lookback:
        said.append("That is close to the lookback: others may have come later, unseen.")
    return said


def _some_beyond(lateness: Lateness) -> list[str]:
    """They came by a lookback that was longer then, or with a row that `deletes` found returned."""
    enough = next((one for one in lateness.lookbacks if one >= lateness.longest), None)
    said = [
        f"{_counted(lateness.late, 'late row')} came within {told(_rounded_up(lateness.longest))}; "
        f"the lookback is {told(lateness.lookback)} now.",
        _would_have_missed(lateness, lateness.lookback),
    ]
    if enough:
        said.append(f"{told(enough)} would have missed none.")
    return said


def _would_have_missed(lateness: Lateness, lookback: dt.timedelta) -> str:
    missed = lateness.missed_with(lookback)
    given = f"With {told(lookback)}" if lookback else "Without one"
    return f"{given}, {_counted(missed)} would have been missed."


def _rounded_up(span: dt.timedelta) -> dt.timedelta:
    """To the next second, or minute, so that `within` is true."""
    unit = 60 if span.total_seconds() >= 120 else 1
    return dt.timedelta(seconds=-(-span.total_seconds() // unit) * unit)


def _all(rows: int) -> str:
    return "The only late row" if rows == 1 else f"All {rows:,} late rows"


def _counted(number: int, noun: str = "row") -> str:
    return f"1 {noun}" if number == 1 else f"{number:,} {noun}s"


def _loads(lateness: Lateness) -> str:
    return "1 load" if lateness.loads == 1 else f"{lateness.loads:,} loads"
