"""Finds and describes anomalies: where a table's newest loads deviate from its own past."""

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
from lakefeed.wording import counted

Kind = Literal["volume", "size", "nulls", "new value", "late"]

# A share of fewer rows scatters too much to be judged.
LEAST_ROWS = 30
# A column with more distinct values isn't categorical. A new value is only an anomaly once there
# are this many past rows for each known one.
MOST_CATEGORIES = 50
_ROWS_OF_EACH = 20


@dataclass(frozen=True)
class Anomaly:
    """A deviation from the past of a table or of one of its columns."""

    table: str
    column: str | None
    kind: Kind
    words: str

    def __str__(self) -> str:
        name = f"{self.table}.{self.column}" if self.column else self.table
        return f"{name}: {self.words}"


@dataclass(frozen=True)
class DataReport:
    """The anomalies found, and the number of tables too young to be judged."""

    unlike: tuple[Anomaly, ...]
    young: int


@dataclass(frozen=True)
class Arrival:
    """A load's time and its number of rows."""

    at: dt.datetime
    rows: int

    @property
    def day(self) -> dt.date:
        return self.at.astimezone(dt.UTC).date()


def rows_by_day(arrivals: Sequence[Arrival], since: dt.date, today: dt.date) -> dict[dt.date, int]:
    """Rows by day, for whole days only: without today and the first day, which began mid-way."""
    first = max(since, today - dt.timedelta(2 * DAYS_BACK))
    days = {first + dt.timedelta(n): 0 for n in range(1, (today - first).days)}
    for arrival in arrivals:
        if arrival.day in days:
            days[arrival.day] += arrival.rows
    return days


def volume_anomalies(
    table: str, arrivals: Sequence[Arrival], since: dt.datetime, now: dt.datetime
) -> Iterator[Anomaly]:
    """Reports yesterday if it brought too few or too many rows, and today if already too many.

    Args:
        since: when the table was first loaded; later days without arrivals count as 0 rows.
    """
    today = now.astimezone(dt.UTC).date()
    past = rows_by_day(arrivals, since.astimezone(dt.UTC).date(), today)
    so_far = sum(arrival.rows for arrival in arrivals if arrival.day == today)
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
            f"{counted(rows, 'row')} arrived {when}, a {day:%A}; usually {usual.low:,.0f} to "
            f"{usual.high:,.0f} ({usual.basis})",
        )


def size_anomalies(table: str, sizes: Sequence[int]) -> Iterator[Anomaly]:
    """Reports a fully refreshed table whose size changed more than at any earlier refresh.

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
        f"{counted(sizes[-1], 'row')} now, {sizes[-2]:,} at the previous refresh ({change:+,}); "
        f"usually {usual.low:+,.0f} to {usual.high:+,.0f} ({usual.basis})",
    )


def null_anomalies(
    table: str, column: str, day: dt.date, counts: Mapping[dt.date, tuple[int, int]]
) -> Iterator[Anomaly]:
    """Reports a column whose share of nulls on a day lies outside all earlier days' shares.

    Args:
        counts: nulls and rows by day.
    """
    past = [
        nulls / rows
        for past_day, (nulls, rows) in counts.items()
        if 0 < (day - past_day).days <= DAYS_BACK and rows >= LEAST_ROWS
    ]
    nulls, rows = counts.get(day, (0, 0))
    usual = usual_share(past, rows) if rows >= LEAST_ROWS else None
    if usual and not usual.has(nulls / rows):
        low, high = max(usual.low, 0), min(usual.high, 1)
        yield Anomaly(
            table,
            column,
            "nulls",
            f"{nulls / rows:.0%} of the rows loaded on {day} are null; usually {low:.0%} to "
            f"{high:.0%} ({usual.basis})",
        )


def new_values(
    first: AbstractSet[str], then: AbstractSet[str], newest: AbstractSet[str], rows: int
) -> list[str]:
    """Returns the values that a categorical column never had before.

    Returns none for a column that keeps getting new values.

    Args:
        first: the values in the first half of the column's past.
        then: the values in the second half.
        newest: the values to judge.
        rows: the number of rows in the column's past.
    """
    known = first | then
    is_stable = bool(first) and then <= first and len(known) <= MOST_CATEGORIES
    if not is_stable or rows < _ROWS_OF_EACH * len(known):
        return []
    return sorted(newest - known)


def value_anomalies(table: str, column: str, values: Sequence[str]) -> Iterator[Anomaly]:
    """Reports a categorical column that has new values."""
    listed = ", ".join(f"`{value}`" for value in values)
    if values:
        plural = "s" if len(values) > 1 else ""
        yield Anomaly(table, column, "new value", f"no earlier load had the value{plural} {listed}")


def age_anomalies(
    table: str, moments: Sequence[dt.datetime], now: dt.datetime
) -> Iterator[Anomaly]:
    """Reports a table in which rows have stopped arriving.

    Args:
        moments: when rows arrived, in order.
    """
    recent = [moment for moment in moments if moments[-1] - moment <= dt.timedelta(DAYS_BACK)]
    usual = usual_gap(recent)
    if usual and is_overdue(now - recent[-1], usual):
        yield Anomaly(
            table,
            None,
            "late",
            f"no rows have arrived for {_duration(now - recent[-1])}; usually new rows arrive "
            f"within {_duration(usual)} ({len(recent)} loads)",
        )


def _duration(span: dt.timedelta) -> str:
    """`70 min`, `9 h`, `3 days`: in the coarsest unit that gives at least two."""
    seconds = span.total_seconds()
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
