"""How `lakefeed plan` is printed."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console

from lakefeed.declaration.models.table_settings import LOG
from lakefeed.render.parts.grid import Column, print_rows
from lakefeed.render.parts.plan_text import build_lines, cost_lines, followed_by, reads
from lakefeed.wording import data_size

if TYPE_CHECKING:
    from lakefeed.loading.forecast.planned_load import LoadPreview
    from lakefeed.orchestration.ingest.run_plan import RunPlan

_COLUMNS = (
    Column("table"),
    Column("reads", 4),
    Column("rows", 5, is_number=True),
    Column("size", 3, is_number=True),
    Column("by", 1),
    Column("then", 2),
)


def print_plan(out: Console, plan: RunPlan) -> None:
    """Prints what each load would read, what that costs, what needs a decision, and the build."""
    loads = [load for load in plan.loads if not load.error]
    if loads:
        print_rows(out, _COLUMNS, [_row(load) for load in loads])
        out.print("rows and sizes are the planner's estimates\n", markup=False)
    for line in _lines(plan):
        out.print(line, soft_wrap=True, markup=False)


def _row(load: LoadPreview) -> tuple[str, ...]:
    estimate, then = load.estimate, followed_by(load)
    if estimate is None:
        return (load.name, reads(load), "?", "?", "log" if load.cursor == LOG else "", then)
    by = "whole table" if estimate.scans else "index"
    return (load.name, reads(load), f"{estimate.rows:,}", data_size(estimate.size), by, then)


def _lines(plan: RunPlan) -> Iterator[str]:
    yield from cost_lines(plan.longest, plan.sessions, plan.loads)
    if plan.paused:
        yield f"paused: {', '.join(plan.paused)}"
    yield ""
    if decisions := [*_decisions(plan)]:
        yield "needs a decision:"
        yield from (*(f"  {line}" for line in decisions), "")
    yield from plan.edits
    lines = build_lines(plan.models, plan.tests, is_first=plan.is_first)
    yield next(lines)
    for models in lines:
        yield textwrap.fill(models, 96, initial_indent="  ", subsequent_indent="  ")


def _decisions(plan: RunPlan) -> Iterator[str]:
    for load in plan.loads:
        yield from (f"{load.name}: {line}" for line in (*load.drift, *load.notes))
        if load.shrinks:
            yield f"{load.name} {load.shrinks}"
        if load.error:
            yield f"{load.name} would fail: {load.error}"
