"""How `lakefeed plan` is printed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from lakefeed.declaration.models.table_settings import LOG
from lakefeed.render.parts.grid import Column, print_rows
from lakefeed.wording import counted, data_size

if TYPE_CHECKING:
    from lakefeed.loading.preview import LoadPreview
    from lakefeed.orchestration.ingest.run_plan import RunPlan

_COLUMNS = (
    Column("table"),
    Column("reads", 3),
    Column("rows", 4, is_number=True),
    Column("size", 2, is_number=True),
    Column("by", 1),
)
_WHY = {
    "first load": "first load",
    "no checkpoint": "no checkpoint yet",
    "another table": "another table now",
    "added column": "a column was added",
    "rewritten table": "the table was rewritten",
    "restored server": "the server was restored",
}


def print_plan(out: Console, plan: RunPlan) -> None:
    """Prints what each load would read, what needs attention, and what dbt would build."""
    loads = [load for load in plan.loads if not load.error]
    if loads:
        print_rows(out, _COLUMNS, [_row(load) for load in loads])
        out.print("rows and sizes are the planner's estimates\n", markup=False)
    for line in _remarks(plan):
        out.print(line, soft_wrap=True, markup=False)
    for line in _build(plan):
        out.print(line, soft_wrap=True, markup=False)


def _row(load: LoadPreview) -> tuple[str, ...]:
    estimate = load.estimate
    if estimate is None:
        by = "log" if load.cursor == LOG else ""
        return (load.name, _reads(load), "?", "?", by)
    by = "whole table" if estimate.scans else "index"
    return (load.name, _reads(load), f"{estimate.rows:,}", data_size(estimate.size), by)


def _reads(load: LoadPreview) -> str:
    if load.reads_whole:
        return "all rows"
    if load.cursor == LOG and "checkpoint" in load.reasons:
        return f"changes in the log since {load.checkpoint}"
    why = next((_WHY[reason] for reason in load.reasons if reason in _WHY), "")
    why += f", {load.ranges}" if load.ranges else ""
    if load.start is None:
        return f"all rows: {why}" if why else "all rows"
    until = f" to {load.end}" if load.end else ""
    return f"from {load.start}{until}{f': {why}' if why else ''}"


def _remarks(plan: RunPlan) -> Iterator[str]:
    for load in plan.loads:
        yield from (f"{load.name}: {line}" for line in (*load.drift, *load.notes))
        if load.error:
            yield f"{load.name} would fail: {load.error}"
    yield from plan.edits


def _build(plan: RunPlan) -> Iterator[str]:
    if plan.is_first:
        yield "dbt would build all models, and publish them if their tests pass"
    elif plan.models:
        yield (
            f"dbt would build and test up to {counted(len(plan.models), 'model')}, downstream of "
            "tables with new rows, and publish them:"
        )
        yield textwrap.fill(", ".join(plan.models), 96, initial_indent="  ", subsequent_indent="  ")
    else:
        yield "dbt would build nothing"
