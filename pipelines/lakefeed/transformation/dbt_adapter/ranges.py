"""Values in raw files that an engine's types don't have, found in the files' footers.

Engines of the cloud have days from year 1 to year 9999, and no 24:00. They refuse a file with
another value, or change it, without the name of its column.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lakefeed.errors import Refused

_DAY = 86_400_000_000
_FIRST = (dt.date(1, 1, 1) - dt.date(1970, 1, 1)).days
_LAST = (dt.date(9999, 12, 31) - dt.date(1970, 1, 1)).days
# By lake type, the first and the last value as they are stored: days, or microseconds.
_RANGES = {
    "date": (_FIRST, _LAST),
    "timestamp": (_FIRST * _DAY, (_LAST + 1) * _DAY - 1),
    "timestamptz": (_FIRST * _DAY, (_LAST + 1) * _DAY - 1),
    "time": (0, _DAY - 1),
}
_HELD = {
    "date": "days from year 1 to 9999",
    "timestamp": "times from year 1 to 9999",
    "timestamptz": "times from year 1 to 9999",
    "time": "times of the day before 24:00",
}


@dataclass(frozen=True)
class RawFile:
    """A file, its footer, and what reads one of its columns as the integers that it has."""

    name: str
    footer: Any
    read: Callable[[str], Any]


def refuse_out_of_range(file: RawFile, columns: tuple[tuple[str, str], ...], engine: str) -> None:
    """Checks that the engine has all values of the file's times and days.

    Raises:
        Refused: it doesn't have one.
    """
    for name, lake_type in columns:
        if lake_type not in _RANGES:
            continue
        first, last = _RANGES[lake_type]
        for least, most in _bounds(file, name):
            if least < first or most > last:
                raise Refused(
                    f"column {name} holds infinity or another value that {engine} can't, which "
                    f"has {_HELD[lake_type]}",
                    where=file.name,
                    do="correct it in the source, leave the column out (`columns: {exclude: …}`), "
                    "or load it as text by a query",
                )


def _bounds(file: RawFile, name: str) -> Iterator[tuple[int, int]]:
    """The least and the greatest value of each part of a column, without parts that have none."""
    footer = file.footer
    names = [footer.schema.column(at).path for at in range(footer.num_columns)]
    at = names.index(name)
    for group in range(footer.num_row_groups):
        chunk = footer.row_group(group).column(at)
        statistics = chunk.statistics
        if statistics is not None and statistics.null_count == chunk.num_values:
            continue
        if statistics is not None and statistics.has_min_max:
            yield int(statistics.min_raw), int(statistics.max_raw)
            continue
        values = [value for value in file.read(name) if value is not None]
        if values:
            yield min(values), max(values)
        return
