"""Refuses files with times that BigQuery doesn't have, by the statistics in their footers.

A load job would refuse them too, but without the column's name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from lakefeed.errors import Refused
from lakefeed.transformation.dbt_adapter.file_groups import lake_type_of

_DAY = 86_400_000_000
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
# The least and the greatest value by lake type: days, or microseconds. A clock shows no 24:00.
_BOUNDS = {
    "date": (_FIRST_DAY, _LAST_DAY),
    "timestamp": (_FIRST_DAY * _DAY, (_LAST_DAY + 1) * _DAY - 1),
    "timestamptz": (_FIRST_DAY * _DAY, (_LAST_DAY + 1) * _DAY - 1),
    "time": (0, _DAY - 1),
}
# What DuckDB writes for infinity; its negative is -infinity.
_INFINITE = {2**31 - 1, 2**63 - 1}


def refusing(wanted: Collection[str]) -> Callable[[str, Any], None]:
    """What refuses a file with a value of these columns that BigQuery doesn't have."""

    def check(file: str, footer: Any) -> None:
        schema = footer.schema.to_arrow_schema()
        types = {field.name: lake_type_of(field.type) for field in schema if field.name in wanted}
        for name, least, most in _extremes(footer):
            found = _beyond(types.get(name) or "", least, most)
            if found:
                raise Refused(
                    f"column {name} holds {found}, which BigQuery can't: leave the column out "
                    "(`columns: {exclude: …}`), or load it as text by a query",
                    where=file,
                )

    return check


def _beyond(lake_type: str, least: int, most: int) -> str:
    bounds = _BOUNDS.get(lake_type)
    if bounds is None or (least >= bounds[0] and most <= bounds[1]):
        return ""
    if most in _INFINITE or -least in _INFINITE:
        return "infinity"
    if lake_type == "time":
        return "24:00"
    return "a time before the year 1" if least < bounds[0] else "a time after the year 9999"


def _extremes(footer: Any) -> list[tuple[str, int, int]]:
    """The least and the greatest value of each column in each part of a file, if it is a number."""
    found = []
    for number in range(footer.num_row_groups):
        part = footer.row_group(number)
        for place in range(part.num_columns):
            column = part.column(place)
            statistics = column.statistics
            if statistics is None or not statistics.has_min_max:
                continue
            if column.physical_type in ("INT32", "INT64"):
                found.append((column.path_in_schema, statistics.min_raw, statistics.max_raw))
    return found
