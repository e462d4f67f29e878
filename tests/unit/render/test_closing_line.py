"""The last line of a run counts each table once, as what became of it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lakefeed.errors import LakefeedError
from lakefeed.orchestration.reports.run_report import RunReport, Status, TableReport
from lakefeed.render.report import print_run


def closing_line(*statuses: Status) -> str:
    tables = tuple(
        TableReport(f"shop.t{number}", f"shop__t{number}", status, error=LakefeedError("no"))
        for number, status in enumerate(statuses)
    )
    out = Console(file=io.StringIO(), width=120)
    print_run(out, RunReport(tables))
    assert isinstance(out.file, io.StringIO)
    return out.file.getvalue().splitlines()[-1]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("unchanged", "unchanged"), "nothing new in 2 tables; dbt was not started (0.0 s)"),
        (("loaded", "unchanged"), "loaded 1 of 2 tables (0.0 s)"),
        (("loaded", "unchanged", "failed"), "loaded 1 of 3 tables, 1 failed (0.0 s)"),
        (("unchanged", "failed"), "nothing new in 1 table, 1 failed; dbt was not started (0.0 s)"),
        (("failed", "failed"), "2 tables failed, none loaded; dbt was not started (0.0 s)"),
    ],
    ids=str,
)
def test_the_closing_line_counts_loaded_unchanged_and_failed_tables(
    statuses: tuple[Status, ...], expected: str
) -> None:
    assert closing_line(*statuses) == expected
