"""A big table cut into ranges of its pages, which several sessions can read side by side."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from itertools import pairwise

_MB = 1 << 20
# Less than this isn't worth a second session.
_LEAST = 32 * _MB
# What makes a Parquet file of some 200 MB, and a statement of some seconds.
_MOST = 1024 * _MB
# How fast a source is taken to be where `max_query_time` bounds its statements.
_SLOWEST_PER_SECOND = 20 * _MB


@dataclass(frozen=True)
class TableSize:
    """Bytes of a table with its partitions and TOAST, and pages of the largest partition."""

    size: int
    pages: int


def cut(table: TableSize, sessions: int, max_query_time: dt.timedelta | None) -> list[str]:
    """Conditions on `ctid`: every row meets one of them, whichever pages were added since.

    As many as keep all sessions busy to the end, and each small enough for one statement.

    Args:
        sessions: how many read at the same time, at most.
        max_query_time: the bound on one statement.
    """
    most = _MOST
    if max_query_time is not None:
        most = min(most, max(_MB, int(max_query_time.total_seconds() * _SLOWEST_PER_SECOND)))
    at_once = max(1, min(sessions, table.size // _LEAST))
    rounds = math.ceil(table.size / most / at_once)
    count = min(rounds * at_once, table.pages) or 1
    return _conditions([table.pages * part // count for part in range(1, count)])


def _conditions(borders: list[int]) -> list[str]:
    """The first has no lower bound and the last no upper one."""
    if not borders:
        return ["true"]
    between = [
        f"ctid >= {_place(low)} and ctid < {_place(high)}" for low, high in pairwise(borders)
    ]
    return [f"ctid < {_place(borders[0])}", *between, f"ctid >= {_place(borders[-1])}"]


def _place(page: int) -> str:
    return f"'({page},0)'::tid"
