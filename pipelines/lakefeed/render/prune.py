"""How prunes and erasures are printed: the plan, what stays and why, and what was removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lakefeed.render.cdc import render_leftover
from lakefeed.wording import counted, data_size

if TYPE_CHECKING:
    from lakefeed.declaration.project import Project
    from lakefeed.orchestration.maintenance.erase import EraseReport
    from lakefeed.orchestration.maintenance.orphaned_tables import OrphanedTables
    from lakefeed.orchestration.maintenance.prune import PruneReport, TablePruning


def run_prune(
    project: Project, select: tuple[str, ...], *, undeclared: bool, only_plans: bool, as_json: bool
) -> int:
    """Prints the plan and, unless it is a dry run, removes the data; returns the exit code."""
    from lakefeed.orchestration.log.drop import leftovers
    from lakefeed.orchestration.maintenance.prune import PruneRequest, plan_prune, prune

    request = PruneRequest(select, undeclared)
    report = plan_prune(project, request)
    if not as_json:
        click.echo(_render_plan(report, undeclared=undeclared))
        for found in leftovers(project) if undeclared else ():
            click.echo(render_leftover(found))
    if not only_plans:
        report = prune(project, request, report)
        if not as_json and (summary := _render_done(report, undeclared=undeclared)):
            click.echo(summary)
    if as_json:
        _show_json(report, is_done=not only_plans)
    return report.exit_code


def run_erase(
    project: Project, table: str, key: tuple[str, ...], *, only_plans: bool, as_json: bool
) -> int:
    """Erases the row with a key or, in a dry run, shows where it is; returns the exit code."""
    from lakefeed.orchestration.maintenance.erase import erase_key, plan_erase

    report = (plan_erase if only_plans else erase_key)(project, table, key)
    if as_json:
        _show_json(report, is_done=not only_plans)
    else:
        click.echo(_render_erasure(report, is_done=not only_plans))
    return report.exit_code


def _render_plan(report: PruneReport, *, undeclared: bool) -> str:
    """What will be removed and what stays, a line per table, and the total."""
    lines = [line for table in report.tables for line in _table_lines(table)]
    lines += [line for table in report.undeclared for line in _undeclared_lines(table)]
    lines += [f"  {name:<28} kept: not written by Lakefeed" for name in report.others]
    if report.removable and not undeclared:
        lines.append("  to remove data of undeclared tables: lakefeed prune --undeclared")
    total = _total(report, undeclared=undeclared)
    return "\n".join([*lines, f"to remove: {total}" if total else "nothing to remove"])


def _render_done(report: PruneReport, *, undeclared: bool) -> str:
    """What was removed, and errors; empty if there was nothing to do."""
    lines = [f"error: {error}" for error in report.errors]
    total = _total(report, undeclared=undeclared)
    return "\n".join([*lines, *([f"removed: {total}"] if total else [])])


def _render_erasure(report: EraseReport, *, is_done: bool) -> str:
    """Where the row was, what was done, and where it may still be."""
    key, loads = ", ".join(report.key), len({found.load_id for found in report.found})
    versions, files = sum(found.rows for found in report.found), len(report.found)
    where = f"{counted(versions, 'version')} in {counted(loads, 'load')} ({counted(files, 'file')})"
    lines = [f"{report.table} ({key}): {where if report.found else 'no version in raw'}"]
    if is_done:
        lines += _what_was_done(report)
    for other in report.others:
        lines.append(f"MAY STILL HAVE THE ROW: {other}; run the same command in its project")
    if report.not_looked_at:
        lines.append(f"not searched, may contain it: {', '.join(report.not_looked_at)}")
    lines.append(
        "outside Lakefeed's reach: files written with --output, backups, object versions kept by "
        "an object store"
    )
    lines.append("if the source still has the row, the next load that reads it brings it back")
    return "\n".join(lines)


def _what_was_done(report: EraseReport) -> Iterator[str]:
    if report.found:
        yield "raw: files containing it were rewritten; profiles of their loads were removed"
    yield "failing rows of tests: removed; tests that still fail store them again"
    yield "dlt: working directory removed; the next load creates it"
    if report.is_rebuilt:
        yield "warehouse: rebuilt from raw"
        removed = ", ".join(report.copies_removed)
        yield f"copies of the warehouse: {f'removed {removed}' if removed else 'none'}"
        return
    yield "warehouse: it and its copies STILL CONTAIN THE ROW, because the rebuild failed"
    yield from (f"  {node.name}: {node.told}" for node in report.failures)
    if report.error:
        yield f"  {report.error}"
    yield "fix this and rerun; completed steps are skipped"


def _show_json(report: PruneReport | EraseReport, *, is_done: bool) -> None:
    """Prints the report as one JSON document."""
    click.echo(json.dumps({"done": is_done, **report.as_json()}, indent=2))


def _table_lines(table: TablePruning) -> Iterator[str]:
    parts = []
    if table.loads:
        parts.append(f"{counted(table.loads, 'load')} superseded, {counted(table.rows, 'row')}")
    if table.files:
        what = "" if table.loads else "old dlt state and leftovers: "
        parts.append(f"{what}{counted(table.files, 'file')}, {data_size(table.size)}")
    if table.versions:
        parts.append(f"{counted(table.versions, 'version')} past retention")
    if table.compacted:
        parts.append(f"{table.compacted} small files compacted into {table.compacted_into}")
    if table.mended:
        parts.append(f"{counted(table.mended, 'file')} with rows of removed loads")
    if table.kept_because:
        parts.append(f"superseded loads kept: {table.kept_because}")
    if parts:
        yield f"  {table.name:<28} {'; '.join(parts)}"


def _undeclared_lines(table: OrphanedTables) -> Iterator[str]:
    of_raw = [f"{counted(table.files, 'file')}, {data_size(table.size)}"] if table.files else []
    relations = (relation.shown for relation in table.relations)
    data = "; ".join([*of_raw, *relations]) or "dlt's working directory"
    yield f"  {table.name:<28} not declared: {data}"
    if table.kept_because:
        yield f"  {'':<28} kept: {table.kept_because}"


def _total(report: PruneReport, *, undeclared: bool) -> str:
    """Files, bytes, row versions and warehouse tables; empty if there are none."""
    pruned = [table for table in report.tables if not table.error]
    removable = report.removable if undeclared else ()
    files = sum(table.files for table in pruned) + sum(table.files for table in removable)
    size = sum(table.size for table in pruned) + sum(table.size for table in removable)
    versions = sum(table.versions for table in pruned)
    compacted = sum(table.compacted for table in pruned)
    into = sum(table.compacted_into for table in pruned)
    mended = sum(table.mended for table in pruned)
    dropped = [found for table in removable for found in table.relations if found.kind]
    parts = [f"{counted(files, 'file')}, {data_size(size)}"] if files else []
    parts += [counted(versions, "version")] if versions else []
    parts += [f"{counted(len(dropped), 'table')} in the warehouse"] if dropped else []
    parts += ["dlt working directories"] if removable and not parts else []
    parts += [f"{compacted} small files compacted into {into}"] if compacted else []
    parts += [f"rows of removed loads in {counted(mended, 'file')}"] if mended else []
    return "; ".join(parts)
