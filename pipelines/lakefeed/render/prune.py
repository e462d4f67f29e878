"""How a prune is told: what goes of each table, what stays and why, and what went."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lakefeed.render.wording import counted, data_size

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project
    from lakefeed.orchestration.maintenance.erase import EraseReport
    from lakefeed.orchestration.maintenance.orphaned_tables import OrphanedTables
    from lakefeed.orchestration.maintenance.prune import PruneReport, TablePruning


def run_prune(
    project: Project, select: tuple[str, ...], *, undeclared: bool, only_plans: bool, as_json: bool
) -> int:
    """Prints the plan, does it unless that is all, and prints what went; the exit code."""
    from lakefeed.orchestration.maintenance.prune import PruneRequest, plan_prune, prune

    request = PruneRequest(select, undeclared)
    report = plan_prune(project, request)
    if not as_json:
        click.echo(_render_plan(report, undeclared=undeclared))
    if not only_plans:
        report = prune(project, request, report)
        if not as_json and (told := _render_done(report, undeclared=undeclared)):
            click.echo(told)
    if as_json:
        _show_json(report, is_done=not only_plans)
    return report.exit_code


def run_erase(
    project: Project, table: str, key: tuple[str, ...], *, only_plans: bool, as_json: bool
) -> int:
    """Erases a key, or tells where it is; the exit code."""
    from lakefeed.orchestration.maintenance.erase import erase_key, plan_erase

    report = (plan_erase if only_plans else erase_key)(project, table, key)
    if as_json:
        _show_json(report, is_done=not only_plans)
    else:
        click.echo(_render_erasure(report, is_done=not only_plans))
    return report.exit_code


def _render_plan(report: PruneReport, *, undeclared: bool) -> str:
    """What would go, a line a table, and what would stay; the sum at the end."""
    lines = [line for table in report.tables for line in _table_lines(table)]
    lines += [line for table in report.undeclared for line in _undeclared_lines(table)]
    lines += [f"  {name:<28} stays: this folder isn't Lakefeed's" for name in report.others]
    if report.removable and not undeclared:
        lines.append("  to remove what nothing declares: lakefeed prune --undeclared")
    total = _total(report, undeclared=undeclared)
    return "\n".join([*lines, f"to remove: {total}" if total else "there is nothing to remove"])


def _render_done(report: PruneReport, *, undeclared: bool) -> str:
    """What went, and what could not be worked on; nothing where there was nothing to do."""
    lines = [f"error: {error}" for error in report.errors]
    total = _total(report, undeclared=undeclared)
    return "\n".join([*lines, *([f"removed: {total}"] if total else [])])


def _render_erasure(report: EraseReport, *, is_done: bool) -> str:
    """Where the row was, what became of it, and where it may be still."""
    key, loads = ", ".join(report.key), len({one.load_id for one in report.found})
    versions, files = sum(one.rows for one in report.found), len(report.found)
    where = f"{counted(versions, 'version')} in {counted(loads, 'load')} ({counted(files, 'file')})"
    lines = [f"{report.table} ({key}): {where if report.found else 'raw holds no version'}"]
    if is_done:
        lines += _what_was_done(report)
    if report.not_looked_at:
        lines.append(f"not looked into, and may hold it: {', '.join(report.not_looked_at)}")
    lines.append(
        "not Lakefeed's to know: files that --output wrote, backups, earlier versions that an "
        "object store keeps"
    )
    lines.append("a row that the source still has comes back with the next load that reads it")
    return "\n".join(lines)


def _what_was_done(report: EraseReport) -> Iterator[str]:
    if report.found:
        yield "raw: files with it are written anew without it, profiles of their loads are gone"
    yield "rows that failed tests: removed; tests that fail again keep those that are left"
    yield "dlt: its working directory is gone; the next load makes it anew"
    if report.is_rebuilt:
        yield "warehouse: built anew from what raw holds"
        gone = ", ".join(report.copies_removed)
        yield f"copies of the warehouse: {f'removed {gone}' if gone else 'there were none'}"
        return
    yield "warehouse: it and its copies STILL HOLD THE ROW, since building it anew failed"
    yield from (f"  {node.name}: {node.told}" for node in report.failures)
    if report.error:
        yield f"  {report.error}"
    yield "mend that, and erase it again: what is done already costs little"


def _show_json(report: PruneReport | EraseReport, *, is_done: bool) -> None:
    """The report as one JSON document."""
    click.echo(json.dumps({"done": is_done, **report.as_json()}, indent=2))


def _table_lines(table: TablePruning) -> Iterator[str]:
    told = []
    if table.loads:
        told.append(f"{counted(table.loads, 'load')} superseded, {counted(table.rows, 'row')}")
    if table.files:
        what = "" if table.loads else "old states of dlt and remains: "
        told.append(f"{what}{counted(table.files, 'file')}, {data_size(table.size)}")
    if table.versions:
        told.append(f"{counted(table.versions, 'version')} past the retention")
    if table.compacted:
        told.append(f"{table.compacted} small files become {table.compacted_into}")
    if table.mended:
        told.append(f"{counted(table.mended, 'file')} with rows of loads that are gone")
    if table.kept_because:
        told.append(f"superseded loads stay: {table.kept_because}")
    if told:
        yield f"  {table.name:<28} {'; '.join(told)}"


def _undeclared_lines(table: OrphanedTables) -> Iterator[str]:
    of_raw = [f"{counted(table.files, 'file')}, {data_size(table.size)}"] if table.files else []
    held = "; ".join([*of_raw, *(one.shown for one in table.relations)]) or "dlt's folder"
    yield f"  {table.name:<28} not declared: {held}"
    if table.kept_because:
        yield f"  {'':<28} stays: {table.kept_because}"


def _total(report: PruneReport, *, undeclared: bool) -> str:
    """Files, bytes, versions of raw, relations of the warehouse; nothing where there are none."""
    gone = [table for table in report.tables if not table.error]
    removable = report.removable if undeclared else ()
    files = sum(table.files for table in gone) + sum(table.files for table in removable)
    size = sum(table.size for table in gone) + sum(table.size for table in removable)
    versions = sum(table.versions for table in gone)
    compacted = sum(table.compacted for table in gone)
    into = sum(table.compacted_into for table in gone)
    mended = sum(table.mended for table in gone)
    dropped = [one for table in removable for one in table.relations if one.kind]
    parts = [f"{counted(files, 'file')}, {data_size(size)}"] if files else []
    parts += [counted(versions, "version")] if versions else []
    parts += [f"{counted(len(dropped), 'table')} of the warehouse"] if dropped else []
    parts += ["working directories of dlt"] if removable and not parts else []
    parts += [f"{compacted} small files, put together into {into}"] if compacted else []
    parts += [f"rows that remained in {counted(mended, 'file')}"] if mended else []
    return "; ".join(parts)
