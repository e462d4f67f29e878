"""How the findings of `lakefeed check` are printed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from lakefeed.render.grouping import grouped, of_check
from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project
    from lakefeed.orchestration.checks.check import CheckReport


def show_check(project: Project, report: CheckReport, as_json: bool) -> None:
    """Prints the findings, to stderr if there are errors."""
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        click.echo(_render_check(project, report), err=bool(report.errors))


def _render_check(project: Project, report: CheckReport) -> str:
    """Errors, then warnings, then anomalies, then a summary."""
    errors = [str(error) for error in report.errors]
    lines = [f"error: {error}" for error in grouped(of_check(errors, project.tables))]
    warnings = of_check(report.warnings, project.tables)
    lines += [f"warning: {warning}" for warning in grouped(warnings)]
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
