"""Which loads a load with `mode: append` compares its rows with: those that may hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lakefeed.loading.comparison.loads_to_compare import loads_to_compare
from lakefeed.loading.plan.cursors import CursorValue
from tests.unit.loading.test_window import HOUR, NOON, load_at, plan_of

APPEND = "{mode: append, cursor: at}"
BEFORE, AFTER = "2026-03-01 11:00:00+00", "2026-03-01 12:30:00+00"


def compared(
    folder: Path, *loads: dict[str, Any], start: CursorValue | None = NOON, declared: str = APPEND
) -> list[int]:
    """The numbers of the loads that are compared, of these from 1."""
    plan = plan_of(folder, declared)
    made = [load_at(plan, None, number, **fields) for number, fields in enumerate(loads, 1)]
    return [int(float(load.load_id)) for load in loads_to_compare(plan, made, start)]


def test_loads_with_rows_in_the_window_are_compared_however_old_they_are(tmp_path: Path) -> None:
    loads = [{"cursor_max": AFTER}, *[{"cursor_max": BEFORE}] * 60, {"cursor_max": AFTER}]

    assert compared(tmp_path, *loads) == [1, 62]


def test_so_are_loads_with_rows_that_every_load_reads(tmp_path: Path) -> None:
    always = [{"cursor_max": "infinity"}, {"cursor_max": None, "null_cursors": 1}]

    assert compared(tmp_path, *always, {"cursor_max": BEFORE}) == [1, 2]


def test_rows_without_a_cursor_do_not_count_where_no_load_reads_them(tmp_path: Path) -> None:
    declared = "{mode: append, cursor: at, on_null_cursor: exclude}"

    assert compared(tmp_path, {"null_cursors": 1}, declared=declared) == []


@pytest.mark.parametrize("start", [None, NOON])
def test_loads_by_another_cursor_are_always_compared(
    tmp_path: Path, start: CursorValue | None
) -> None:
    assert compared(tmp_path, {"cursor": "other", "cursor_max": BEFORE}, start=start) == [1]


def test_a_window_from_the_beginning_is_compared_with_all_loads(tmp_path: Path) -> None:
    assert compared(tmp_path, {"cursor_max": BEFORE}, {}, start=None) == [1, 2]


def test_a_lookback_reaches_further_back(tmp_path: Path) -> None:
    loads = ({"cursor_max": BEFORE}, {"cursor_max": AFTER})

    assert compared(tmp_path, *loads, start=NOON - HOUR) == [1, 2]
