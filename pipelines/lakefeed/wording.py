"""How counts, sizes and durations are written, for messages, reports and the site alike."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

_MOST_NAMES = 3


def counted(number: int, noun: str) -> str:
    """`1 table`, `1,200 tables`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def named(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    listed = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{listed} and {more:,} more" if more > 0 else listed


def data_size(size: int) -> str:
    """Bytes in the unit that fits: `312 B`, `4.5 MB`."""
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    return f"{number:,.0f} {unit}" if unit == "B" else f"{number:,.1f} {unit}"


def duration_text(span: dt.timedelta) -> str:
    """`45 s`, `14 min`, `2 h`, `3 days`; `1 h 30 min` if the coarser unit alone isn't exact."""
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
