"""A big table is split into ranges of pages."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from lakefeed.loading.ranges.ctid_ranges import TableSize, cut

MB = 1 << 20
GB = 1 << 30


def pages_of(conditions: list[str], last: int) -> list[int]:
    """The pages that match each condition, in order."""
    found: list[int] = []
    for condition in conditions:
        low = re.search(r">= '\((\d+),0\)'", condition)
        high = re.search(r"< '\((\d+),0\)'", condition)
        found += range(int(low[1]) if low else 0, int(high[1]) if high else last + 1)
    return found


@pytest.mark.parametrize("size", [0, 1, 40 * MB, 900 * MB, 7 * GB])
@pytest.mark.parametrize("pages", [0, 1, 2, 3, 1000])
@pytest.mark.parametrize("sessions", [1, 2, 5])
def test_every_page_is_in_one_range_and_later_pages_are_in_the_last(
    size: int, pages: int, sessions: int
) -> None:
    conditions = cut(TableSize(size, pages), sessions, None)

    assert pages_of(conditions, pages + 9) == list(range(pages + 10))


def test_a_small_table_is_read_by_one_query() -> None:
    assert cut(TableSize(60 * MB, 7_500), 4, None) == ["true"]


def test_a_relation_without_pages_is_read_by_one_query() -> None:
    assert cut(TableSize(9 * GB, 0), 4, None) == ["true"]


def test_all_sessions_get_the_same_number_of_ranges() -> None:
    assert len(cut(TableSize(900 * MB, 115_000), 2, None)) == 2
    assert len(cut(TableSize(5 * GB, 655_360), 2, None)) == 6
    assert len(cut(TableSize(5 * GB, 655_360), 4, None)) == 8


def test_a_range_is_at_most_one_gigabyte() -> None:
    assert len(cut(TableSize(5 * GB, 655_360), 1, None)) == 5


def test_ranges_are_small_enough_for_max_query_time() -> None:
    assert len(cut(TableSize(1000 * MB, 128_000), 1, dt.timedelta(seconds=10))) == 5
