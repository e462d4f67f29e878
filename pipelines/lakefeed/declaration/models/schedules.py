"""Cron expressions, as `schedule` of a DAG has them."""

from __future__ import annotations

import re
from typing import Any

# Source: https://airflow.apache.org/docs/apache-airflow/stable/authoring-and-scheduling/cron.html
_PRESETS = ("@hourly", "@daily", "@weekly", "@monthly", "@quarterly", "@yearly")
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# Minute, hour, day of the month, month, day of the week: the numbers and names that each may have.
_FIELDS: tuple[tuple[int, int, list[str]], ...] = (
    (0, 59, []),
    (0, 23, []),
    (1, 31, ["l"]),
    (1, 12, _MONTHS),
    (0, 7, [*_DAYS, "l"]),
)
_STEP = re.compile(r"(?P<what>[^/]+)(?:/(?P<step>\d+))?")
_NTH_DAY = re.compile(r"(?P<day>\w+)#[1-5]|l(?P<last>[0-7])")


def parse_schedule(value: Any) -> Any:
    """Refuses what is no cron expression, with which Airflow could import none of the DAGs."""
    if not isinstance(value, str):
        return value
    written = value.lower().split()
    is_preset = len(written) == 1 and written[0] in _PRESETS
    # A sixth field has seconds.
    is_cron = len(written) in (5, 6) and all(
        _is_field(text, *field) for text, field in zip(written, _FIELDS, strict=False)
    )
    if not is_preset and not is_cron:
        raise ValueError(
            'a cron expression such as "*/10 * * * *", @hourly or @daily, or null for manual runs '
            "only"
        )
    return value


def _is_field(text: str, least: int, most: int, names: list[str]) -> bool:
    return all(_is_item(item, least, most, names) for item in text.split(","))


def _is_item(item: str, least: int, most: int, names: list[str]) -> bool:
    if names[:1] == _DAYS[:1] and (nth := _NTH_DAY.fullmatch(item)):
        item = nth["day"] or nth["last"]
    found = _STEP.fullmatch(item)
    if not found or (found["step"] and not int(found["step"])):
        return False
    if found["what"] in ("*", "?"):
        return True
    ends = found["what"].split("-")
    return len(ends) <= 2 and all(
        end in names or (end.isdecimal() and least <= int(end) <= most) for end in ends
    )
