"""How the findings of `lakefeed check` are printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from lakefeed.render.parts.grouping import grouped, of_check
from lakefeed.wording import counted, data_size

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project
    from lakefeed.orchestration.checks.check import CheckReport
    from lakefeed.orchestration.checks.delete_costs import DeleteCost

_MOST_COSTS = 5


def show_check(project: Project, report: CheckReport, as_json: bool) -> None:
    """Prints the findings, to stderr if there are errors."""
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        click.echo(_render_check(project, report), err=bool(report.errors))


def _render_check(project: Project, report: CheckReport) -> str:
    """Errors, warnings, costs of finding deletes, the warehouse, anomalies, then a summary."""
    errors = [str(error) for error in report.errors]
    lines = [f"error: {error}" for error in grouped(of_check(errors, project.tables))]
    warnings = of_check(report.warnings, project.tables)
    lines += [f"warning: {warning}" for warning in grouped(warnings)]
    lines += _delete_lines(report.deletes)
    if report.warehouse:
        seen = report.warehouse
        lines.append(f"warehouse: {seen.engine} {seen.version} in {seen.place}")
        lines += [f"{seen.engine}: {seen.note}"] if seen.note else []
    found = [(len(errors), "error"), (len(report.warnings), "warning")]
    if report.data:
        lines += [f"anomaly: {anomaly}" for anomaly in report.data.unlike]
        found.append((len(report.data.unlike), "unusual load"))
    summary = ", ".join(counted(number, noun) for number, noun in found if number) or "no problems"
    if report.data and report.data.young:
        summary += f"; {counted(report.data.young, 'table')} with too little history to compare"
    if report.paused:
        summary += f"; paused, so not checked: {', '.join(report.paused)}"
    return "\n".join([*lines, f"{counted(report.tables, 'table')} checked: {summary}"])


def _delete_lines(costs: Sequence[DeleteCost]) -> Iterator[str]:
    """What `deletes: remove` would scan: in all, and for the largest tables."""
    if not costs:
        return
    largest = sorted(costs, key=lambda cost: cost.size, reverse=True)
    named = [cost for cost in largest[:_MOST_COSTS] if cost.size]
    yield (
        f"deletes: rows deleted in the source stay in staging of {counted(len(costs), 'table')}; "
        f"to find them, `deletes: remove` or `mark` would scan {_size_of(costs)} in every load"
        f"{':' if named else ''}"
    )
    for cost in named:
        keys = "an unknown number of" if cost.keys is None else f"about {cost.keys:,}"
        scanned = "in an index" if cost.in_index else "the whole table"
        yield f"  {cost.table}: {data_size(cost.size)}, {scanned}, for {keys} keys"
    rest = largest[len(named) :]
    if named and rest:
        yield f"  {counted(len(rest), 'smaller table')}: {_size_of(rest)}"


def _size_of(costs: Sequence[DeleteCost]) -> str:
    return data_size(sum(cost.size for cost in costs))
