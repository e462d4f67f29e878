"""Splits a big table into page ranges that several sessions can read in parallel."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from itertools import pairwise

_MB = 1 << 20
# A smaller range isn't worth a second session.
_LEAST = 32 * _MB
# Yields a Parquet file of about 200 MB and a statement of a few seconds.
_MOST = 1024 * _MB
# A cautious estimate of read speed, to keep each statement within `max_query_time`.
_SLOWEST_PER_SECOND = 20 * _MB


@dataclass(frozen=True)
class TableSize:
    """Bytes of a table including partitions and TOAST, and pages of its largest partition."""

    size: int
    pages: int


def cut(table: TableSize, sessions: int, max_query_time: dt.timedelta | None) -> list[str]:
    """Conditions on `ctid` that together match every row, even in pages added meanwhile.

    There are enough ranges to keep all sessions busy, and each is small enough for one statement.

    Args:
        sessions: the maximum number of sessions that read in parallel.
        max_query_time: the time limit of one statement.
    """
    count = min(statements_for(table.size, sessions, max_query_time), table.pages) or 1
    return _conditions([table.pages * part // count for part in range(1, count)])


def statements_for(size: int, sessions: int, max_query_time: dt.timedelta | None) -> int:
    """Into how many statements a read of so many bytes is split; see `cut`."""
    most = _MOST
    if max_query_time is not None:
        most = min(most, max(_MB, int(max_query_time.total_seconds() * _SLOWEST_PER_SECOND)))
    at_once = max(1, min(sessions, size // _LEAST))
    return math.ceil(size / most / at_once) * at_once


def _conditions(borders: list[int]) -> list[str]:
    """One condition per range; the first has no lower bound, the last no upper bound."""
    if not borders:
        return ["true"]
    between = [
        f"ctid >= {_start_of(low)} and ctid < {_start_of(high)}" for low, high in pairwise(borders)
    ]
    return [f"ctid < {_start_of(borders[0])}", *between, f"ctid >= {_start_of(borders[-1])}"]


def _start_of(page: int) -> str:
    return f"'({page},0)'::tid"
