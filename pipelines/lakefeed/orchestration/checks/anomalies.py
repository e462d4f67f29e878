"""What of a table's newest loads is unlike its own past, in words: decided from plain data."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from lakefeed.orchestration.checks.baselines import (
    DAYS_BACK,
    is_overdue,
    usual_change,
    usual_gap,
    usual_share,
    usual_volume,
)

Kind = Literal["volume", "size", "nulls", "new value", "late"]

# A share of fewer rows says little.
LEAST_ROWS = 30
# A column with more values than these isn't one of categories; of each, so many rows must be known.
MOST_CATEGORIES = 50
_ROWS_OF_EACH = 20


@dataclass(frozen=True)
class Anomaly:
    """One thing that is unlike the past of a table, or of one of its columns."""

    table: str
    column: str | None
    kind: Kind
    words: str

    def __str__(self) -> str:
        name = f"{self.table}.{self.column}" if self.column else self.table
        return f"{name}: {self.words}"


@dataclass(frozen=True)
class DataReport:
    """What is unlike the past of its table, and how many tables have too little past to tell."""

    unlike: tuple[Anomaly, ...]
    young: int


@dataclass(frozen=True)
class Arrival:
    """When a load brought rows, and how many."""

    at: dt.datetime
    rows: int

    @property
    def day(self) -> dt.date:
        return self.at.astimezone(dt.UTC).date()


def rows_by_day(arrivals: Sequence[Arrival], since: dt.date, today: dt.date) -> dict[dt.date, int]:
    """Rows of each whole day before today, the first left out, of which only a part is known."""
    first = max(since, today - dt.timedelta(2 * DAYS_BACK))
    days = {first + dt.timedelta(n): 0 for n in range(1, (today - first).days)}
    for one in arrivals:
        if one.day in days:
            days[one.day] += one.rows
    return days


def unlike_volumes(
    table: str, arrivals: Sequence[Arrival], since: dt.datetime, now: dt.datetime
) -> Iterator[Anomaly]:
    """The last whole day, if it brought too few rows or too many; today, if too many already.

    Args:
        since: when the table was first loaded; a day since then without arrivals brought 0 rows.
    """
    today = now.astimezone(dt.UTC).date()
    past = rows_by_day(arrivals, since.astimezone(dt.UTC).date(), today)
    so_far = sum(one.rows for one in arrivals if one.day == today)
    yesterday = today - dt.timedelta(1)
    for day, rows in ((yesterday, past.get(yesterday)), (today, so_far)):
        usual = usual_volume(day, past)
        is_early = day == today and usual is not None and rows is not None and rows < usual.low
        if usual is None or rows is None or is_early or usual.has(rows):
            continue
        when = "today" if day == today else f"on {day}"
        yield Anomaly(
            table,
            None,
            "volume",
            f"{_counted(rows)} arrived {when}, a {day:%A}; usually {usual.low:,.0f} to "
            f"{usual.high:,.0f} do ({usual.told_from})",
        )


def unlike_size(table: str, sizes: Sequence[int]) -> Iterator[Anomaly]:
    """A table that is read whole, if its newest refresh changed its size as none before.

    Args:
        sizes: rows of each refresh, in order.
    """
    usual = usual_change(sizes[:-1])
    if usual is None or usual.has(sizes[-1] - sizes[-2]):
        return
    change = sizes[-1] - sizes[-2]
    yield Anomaly(
        table,
        None,
        "size",
        f"{_counted(sizes[-1])} now, {sizes[-2]:,} at the refresh before: {change:+,}; usually "
        f"{usual.low:+,.0f} to {usual.high:+,.0f} ({usual.told_from})",
    )


def unlike_nulls(
    table: str, column: str, day: dt.date, counts: Mapping[dt.date, tuple[int, int]]
) -> Iterator[Anomaly]:
    """A column, if the share of nulls among a day's rows is one that no day had.

    Args:
        counts: nulls and rows by day.
    """
    past = [
        nulls / rows
        for one, (nulls, rows) in counts.items()
        if 0 < (day - one).days <= DAYS_BACK and rows >= LEAST_ROWS
    ]
    nulls, rows = counts.get(day, (0, 0))
    usual = usual_share(past, rows) if rows >= LEAST_ROWS else None
    if usual and not usual.has(nulls / rows):
        low, high = max(usual.low, 0), min(usual.high, 1)
        yield Anomaly(
            table,
            column,
            "nulls",
            f"{nulls / rows:.0%} of the rows of {day} are null; usually {low:.0%} to {high:.0%} "
            f"are ({usual.told_from})",
        )


def new_values(
    first: AbstractSet[str], then: AbstractSet[str], newest: AbstractSet[str], rows: int
) -> list[str]:
    """Values that a column of categories never had; none where it goes on getting new ones.

    Args:
        first: the values in the first half of its past.
        then: those in the second half.
        newest: those that are to be judged.
        rows: how many rows that past has.
    """
    known = first | then
    is_settled = bool(first) and then <= first and len(known) <= MOST_CATEGORIES
    if not is_settled or rows < _ROWS_OF_EACH * len(known):
        return []
    return sorted(newest - known)


def unlike_values(table: str, column: str, values: Sequence[str]) -> Iterator[Anomaly]:
    """A column of categories, if it has a new one."""
    listed = ", ".join(f"`{value}`" for value in values)
    if values:
        plural = "s" if len(values) > 1 else ""
        yield Anomaly(table, column, "new value", f"no load before had the value{plural} {listed}")


def unlike_age(table: str, moments: Sequence[dt.datetime], now: dt.datetime) -> Iterator[Anomaly]:
    """A table that rows have stopped arriving in.

    Args:
        moments: when rows arrived, in order.
    """
    recent = [one for one in moments if moments[-1] - one <= dt.timedelta(DAYS_BACK)]
    usual = usual_gap(recent)
    if usual and is_overdue(now - recent[-1], usual):
        yield Anomaly(
            table,
            None,
            "late",
            f"no row has arrived for {_long(now - recent[-1])}; usually the next ones come within "
            f"{_long(usual)} ({len(recent)} loads)",
        )


def _counted(rows: int) -> str:
    return "1 row" if rows == 1 else f"{rows:,} rows"


def _long(span: dt.timedelta) -> str:
    """`70 min`, `9 h`, `3 days`: the coarsest unit of which there are two at least."""
    seconds = span.total_seconds()
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
