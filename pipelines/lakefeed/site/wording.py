"""How numbers, moments and spans are said on the page."""

from __future__ import annotations

import datetime as dt
import re

from lakefeed.orchestration.reports.lateness import duration_text

_NEVER = "never"


def number(value: float | None) -> str:
    """`1,204`; a dash for what isn't known."""
    return "–" if value is None else f"{value:,.0f}"


def counted(value: int, noun: str) -> str:
    """`1 row`, `1,204 rows`."""
    return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"


def seconds(value: float) -> str:
    """`0.3 s`, `4 min 12 s`."""
    return f"{value:.1f} s" if value < 60 else duration_text(dt.timedelta(seconds=value))


def moment(value: dt.datetime | str | None) -> str:
    """`2026-11-25 01:52:21`, in UTC; text that is no time as it is."""
    time = _time(value)
    if time is None:
        return str(value) if value else _NEVER
    return f"{time:%Y-%m-%d %H:%M:%S}"


def machine_moment(value: dt.datetime | str | None) -> str:
    """For `<time datetime>`."""
    time = _time(value)
    return time.isoformat(timespec="seconds") if time else ""


def span(value: dt.timedelta | float | None) -> str:
    """`14 min`, `2 h`, `3 days`; the coarsest unit alone from two of it on."""
    if value is None:
        return "–"
    length = value if isinstance(value, dt.timedelta) else dt.timedelta(seconds=value)
    for unit in (dt.timedelta(days=1), dt.timedelta(hours=1), dt.timedelta(minutes=1)):
        if length >= 2 * unit:
            return duration_text(length // unit * unit)
    return duration_text(length)


def before(value: dt.datetime | str | None, now: dt.datetime) -> str:
    """`14 min earlier` than the page was made; nothing where there is no time."""
    time = _time(value)
    if time is None:
        return ""
    return f"{span(now - time)} earlier" if now - time >= dt.timedelta(seconds=1) else "just now"


def plain_message(message: str) -> str:
    """What dbt says of a test, without how it is configured when that is as always."""
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
