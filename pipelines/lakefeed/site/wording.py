"""How the page writes numbers, times and durations."""

from __future__ import annotations

import datetime as dt
import re

from lakefeed.wording import duration_text

_NEVER = "never"


def number(value: float | None) -> str:
    """`1,204`; a dash for an unknown number."""
    return "–" if value is None else f"{value:,.0f}"


def seconds(value: float) -> str:
    """`0.3 s`, `4 min 12 s`."""
    return f"{value:.1f} s" if value < 60 else duration_text(dt.timedelta(seconds=value))


def moment(value: dt.datetime | str | None) -> str:
    """`2026-11-25 01:52:21`, in UTC; text that isn't a time is unchanged."""
    time = _time(value)
    if time is None:
        return str(value) if value else _NEVER
    return f"{time:%Y-%m-%d %H:%M:%S}"


def machine_moment(value: dt.datetime | str | None) -> str:
    """A time for the attribute of `<time datetime>`; empty without one."""
    time = _time(value)
    return time.isoformat(timespec="seconds") if time else ""


def span(value: dt.timedelta | float | None) -> str:
    """`14 min`, `2 h`, `3 days`: in the coarsest unit of which there are at least two."""
    if value is None:
        return "–"
    length = value if isinstance(value, dt.timedelta) else dt.timedelta(seconds=value)
    for unit in (dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)):
        if length >= 2 * unit:
            return duration_text(length // unit * unit)
    return duration_text(length)


def before(value: dt.datetime | str | None, now: dt.datetime) -> str:
    """`14 min earlier` than the page was generated; empty without a time."""
    time = _time(value)
    if time is None:
        return ""
    return f"{span(now - time)} earlier" if now - time >= dt.timedelta(seconds=1) else "just now"


def plain_message(message: str) -> str:
    """dbt's message about a test, without the default configuration that dbt appends."""
    return re.sub(r", configured to (fail|warn) if != 0$", "", message)


def _time(value: dt.datetime | str | None) -> dt.datetime | None:
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if value is None:
        return None
    return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)
