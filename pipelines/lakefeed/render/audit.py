"""How the results of `lakefeed audit` are printed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from lakefeed.render.parts.wording import short
from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project
    from lakefeed.orchestration.checks.audit import AuditReport, TableAudit
    from lakefeed.orchestration.reports.run_report import RunReport


def run_audit(project: Project, select: Sequence[str], *, repairs: bool, as_json: bool) -> int:
    """Compares tables, reloads what differs if asked to, and prints both; returns the exit code."""
    from lakefeed.declaration.project import open_project
    from lakefeed.orchestration.checks.audit import audit, repair

    def say(message: str) -> None:
        click.echo(message, err=True)

    report = audit(project, select, say)
    runs: list[RunReport] = []
    repaired = {table.name for table in report.tables if table.ranges} if repairs else set()
    if repaired:
        if not as_json:
            _print(project, report, repairs=True)
        runs = repair(project, report)
        report = audit(open_project(project.root), select, say)
    for failed in (table for run in runs for table in run.failures):
        click.echo(f"failed: {failed.error}", err=True)
    if as_json:
        document = [_as_json(table, repaired) for table in report.tables]
        click.echo(json.dumps(document, indent=2))
    else:
        _print(project, report, repaired=repaired)
    return report.exit_code


def _print(
    project: Project,
    report: AuditReport,
    *,
    repairs: bool = False,
    repaired: set[str] | None = None,
) -> None:
    for table in report.tables:
        for line in _lines(project, table, repairs=repairs, repaired=repaired or set()):
            click.echo(line)


def _as_json(table: TableAudit, repaired: set[str]) -> dict[str, object]:
    entry = asdict(replace(table, error=None))
    del entry["ranges"]
    error = str(table.error) if table.error else None
    return {**entry, "repaired": table.name in repaired and table.is_clean, "error": error}


def _lines(
    project: Project, audited: TableAudit, *, repairs: bool, repaired: set[str]
) -> Iterator[str]:
    from lakefeed.orchestration.checks.audit import likely_cause

    if audited.error:
        yield f"✗ {audited.name:<28} could not be compared: {audited.error}"
        return
    yield _summary(audited, was_repaired=audited.name in repaired)
    table = next(table for table in project.tables if table.shown == audited.name)
    cursor = table.settings.cursor.name if table.settings.cursor else "-"
    for found in audited.findings:
        between = f", {cursor} {short(found.low)} to {short(found.high)}" if found.low else ""
        yield f"    {found.rows:,} {found.kind}, for example ({found.example}){between}"
        yield f"      likely cause: {likely_cause(found, table)}"
    if audited.ranges and repairs:
        yield "    reloading …"
    elif audited.ranges and audited.name not in repaired:
        yield f"    to reload them: lakefeed audit --select {audited.name} --repair"
    elif (table.reads_row_versions or table.reads_log) and audited.findings:
        yield f"    to reload them: lakefeed run --full-refresh --select {audited.name}"


def _summary(audited: TableAudit, *, was_repaired: bool) -> str:
    pending = f", {audited.pending:,} pending until the next load" if audited.pending else ""
    if audited.kept:
        pending += f", {audited.kept:,} kept of detached partitions"
    rows = counted(audited.rows, "row")
    if audited.is_clean:
        repaired = ", repaired" if was_repaired else ""
        return f"✓ {audited.name:<28} {rows} equal{repaired}{pending}"
    differing = sum(found.rows for found in audited.findings)
    still = " still" if was_repaired else ""
    return f"✗ {audited.name:<28} {rows} compared,{still} {differing:,} differ{pending}"
