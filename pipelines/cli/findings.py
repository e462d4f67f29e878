"""How `lakefeed check` tells what it found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from pipelines.cli.wording import counted

if TYPE_CHECKING:
    from pipelines.orchestration.check import CheckReport


def show_check(report: CheckReport, as_json: bool) -> None:
    """Prints what was found; on stderr where there are errors."""
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=2))
    else:
        click.echo(_render_check(report), err=bool(report.errors))


def _render_check(report: CheckReport) -> str:
    """Errors, then warnings, then what is unlike the past, then the verdict."""
    lines = [f"error: {error}" for error in report.errors]
    lines += [f"warning: {warning}" for warning in report.warnings]
    verdict = counted(len(report.errors), "error") if report.errors else "all well"
    if report.data:
        lines += [f"unlike its past: {one}" for one in report.data.unlike]
        if report.data.unlike and not report.errors:
            verdict = counted(len(report.data.unlike), "finding")
        if report.data.young:
            verdict += f"; {counted(report.data.young, 'table')} with too short a past to compare"
    return "\n".join([*lines, f"{counted(report.tables, 'table')} checked: {verdict}"])
