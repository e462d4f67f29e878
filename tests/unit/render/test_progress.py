"""Progress: bars on a terminal, lines elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from lakefeed.orchestration.reports.listener import LongRead
from lakefeed.render.progress import ProgressLines

READ = LongRead(
    "shop.orders",
    rows=12_000_000,
    expected_rows=40_000_000,
    size=3_400_000_000,
    seconds_left=840.0,
    note="range 2 of 5",
)


def shown(read: LongRead, *, terminal: bool) -> str:
    out = io.StringIO()
    lines = ProgressLines(Console(file=out, width=120, force_terminal=terminal))
    table: Any = SimpleNamespace(shown="shop.orders")
    lines.started(table)
    lines.reading([read])
    if terminal:
        lines._live.stop()
    return out.getvalue()


def test_elsewhere_than_on_a_terminal_a_long_read_is_a_line_each_minute() -> None:
    assert shown(READ, terminal=False) == (
        "reading shop.orders: range 2 of 5, 12,000,000 of about 40,000,000 rows, 3.4 GB, "
        "14 min left\n"
    )
    assert ProgressLines(Console(file=io.StringIO())).reads_every == 60


def test_on_a_terminal_it_has_a_bar() -> None:
    text = shown(READ, terminal=True)

    assert "━" in text
    assert "range 2 of 5, 12,000,000 of about 40,000,000 rows, 3.4 GB, 14 min left" in text


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (replace(READ, expected_rows=None, seconds_left=None), "12,000,000 rows, 3.4 GB"),
        (replace(READ, rows=41_000_000, seconds_left=0.0), "41,000,000 of about 41,000,000 rows"),
        (replace(READ, seconds_left=7_321.0), "2 h 2 min left"),
        (replace(READ, seconds_left=40_000.0), "11 h left"),
        (replace(READ, seconds_left=0.4), "1 s left"),
    ],
)
def test_it_says_no_more_than_is_known(read: LongRead, text: str) -> None:
    assert text in shown(read, terminal=False)
