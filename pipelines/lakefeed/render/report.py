"""How runs and the status of tables are printed: progress while they load, a table at the end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
from rich.console import Console

from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.render.build import build_line, kept_lines
from lakefeed.render.parts.grid import Column, print_rows
from lakefeed.render.parts.grouping import (
    grouped,
    of_failures,
    of_last_failures,
    of_notes,
    of_warnings,
    repeated,
)
from lakefeed.render.parts.wording import age, short
from lakefeed.render.progress import ProgressLines
from lakefeed.wording import counted, named

if TYPE_CHECKING:
    from lakefeed.orchestration.inspect.status import TableFreshness, TableStatus
    from lakefeed.orchestration.log.slot_states import SlotState
    from lakefeed.orchestration.project.sync import SyncReport
    from lakefeed.orchestration.reports.listener import Listener

# For files and pipes, which have no width of their own.
_PLAIN_WIDTH = 160
_MOST_FILES = 4


def console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


def print_report(work: Callable[[Listener | None], RunReport], as_json: bool) -> None:
    """Runs the work, prints its report and exits with the report's code."""
    if as_json:
        report = work(None)
        click.echo(json.dumps(report.as_json(), indent=2, default=str))
        sys.exit(report.exit_code)
    out = console()
    report = work(ProgressLines(out))
    print_run(out, report)
    sys.exit(report.exit_code)


def print_run(out: Console, report: RunReport) -> None:
    """Prints the summary of a run: rows loaded, failures with their reasons, dbt's result."""
    print_notes(out, report)
    moved = [table for table in report.tables if table.status == "loaded"]
    if moved:
        _print_moved(out, report, moved)
    for error in grouped(of_failures(report.failures)):
        out.print(f"failed: {error}", soft_wrap=True, markup=False)
    out.print(_closing_line(report, moved), soft_wrap=True, markup=False)


def print_notes(out: Console, report: RunReport) -> None:
    """Prints warnings, notes that tables share, and the files that the run wrote."""
    shared = repeated(of_notes(report.tables))
    for warning in (*grouped(of_warnings(report.warnings)), *shared):
        out.print(f"note: {warning}", soft_wrap=True, markup=False)
    if report.synced:
        out.print(f"wrote {_files(report.synced)}", soft_wrap=True, markup=False)


def _files(names: Sequence[str]) -> str:
    if len(names) <= _MOST_FILES:
        return ", ".join(names)
    return f"{names[0]} and {len(names) - 1} more files in dbt/"


_MOVED = (
    Column("table"),
    Column("read", 3, is_number=True),
    Column("written", is_number=True),
    Column("new in staging", 4, is_number=True),
    Column("checkpoint before", 1),
    Column("checkpoint", 2),
)


def _print_moved(out: Console, report: RunReport, moved: Sequence[TableReport]) -> None:
    rows = []
    for table in moved:
        staged = report.staged.get(table.lake_name)
        rows.append(
            (
                table.name,
                f"{table.rows_read:,}",
                f"{table.rows_written:,}",
                f"{staged.changed:,}" if staged else "-",
                short(table.checkpoint_before),
                short(table.checkpoint),
            )
        )
    print_rows(out, _MOVED, rows)


def _closing_line(report: RunReport, moved: Sequence[TableReport]) -> str:
    seconds = f"{report.seconds:.1f} s"
    where = f"{report.environment}: " if report.environment else ""
    loads = where + _loads(report, len(moved))
    if report.build_error:
        return f"error: {report.build_error}"
    if report.build is None and not moved:
        return f"{loads}; dbt was not started ({seconds})"
    if report.build is None:
        return f"{loads} ({seconds})"
    return f"{loads}; {build_line(report.build)}{kept_lines(report)} ({seconds})"


def _loads(report: RunReport, moved: int) -> str:
    """How many tables were loaded, had no new rows, or failed."""
    failed = len(report.failures)
    unchanged = len(report.tables) - moved - failed
    if moved:
        loads = f"loaded {moved} of {counted(len(report.tables), 'table')}"
    elif unchanged or not failed:
        loads = f"nothing new in {counted(unchanged, 'table')}"
    else:
        return f"{counted(failed, 'table')} failed, none loaded"
    return f"{loads}, {failed} failed" if failed else loads


def render_sync(report: SyncReport) -> str:
    """What changed in the databases, and the files that were updated."""
    lines = [f"  {line}" for line in report.drift]
    lines += [f"  wrote {name}" for name in report.files]
    return "\n".join(
        [*lines, f"{counted(report.tables, 'table')} in sources.lock.yaml"]
        if lines
        else [f"{counted(report.tables, 'table')}, nothing to update"]
    )


_STATUS = (
    Column("table"),
    Column("mode", 4),
    Column("checkpoint", 7),
    Column("last load", 3),
    Column("age"),
    Column("loads", 2, is_number=True),
    Column("files", 1, is_number=True),
    Column("raw rows", 6, is_number=True),
    Column("staged rows", 9, is_number=True),
    Column("deletes", 8),
    Column("published", 5),
)
_FRESHNESS = Column("freshness", 10)


def show_status(rows: Sequence[TableStatus], as_json: bool, slots: Sequence[SlotState] = ()) -> int:
    """Prints the status of tables and returns the exit code: 1 if a table is too late.

    Args:
        slots: those through which the tables read the log.
    """
    if as_json:
        logs = {name: slot.as_json() for slot in slots for name in slot.tables}
        documents = [asdict(row) | {"log": logs.get(row.name)} for row in rows]
        click.echo(json.dumps(documents, indent=2))
    else:
        out, bounded = console(), any(row.freshness for row in rows)
        if rows and rows[0].environment:
            out.print(f"environment: {rows[0].environment}", markup=False)
        columns = (*_STATUS, _FRESHNESS) if bounded else _STATUS
        print_rows(out, columns, [_status_row(row)[: len(columns)] for row in rows])
        for line in grouped(of_last_failures(_failed(rows))):
            out.print(line, soft_wrap=True, markup=False)
        for row in (row for row in rows if row.first_load):
            out.print(
                f"{row.name}: first load: {row.first_load}; staging shows it when the last is in",
                soft_wrap=True,
                markup=False,
            )
        for row in (row for row in rows if row.kept_partitions):
            partitions = named(row.kept_partitions)
            out.print(
                f"{row.name} keeps the rows of {partitions}, detached or dropped in the source "
                "(`on_detach: keep`)",
                soft_wrap=True,
                markup=False,
            )
        _print_slots(out, slots)
        unseen = sum(not row.sees_deletes for row in rows if not row.paused)
        if unseen:
            out.print(
                f"{counted(unseen, 'table')} without delete detection: rows deleted in the source "
                "stay in staging; to detect them, set `deletes: remove` or `deletes: mark`",
                soft_wrap=True,
                markup=False,
            )
    return 1 if any(row.freshness == "too late" for row in rows) else 0


def _print_slots(out: Console, slots: Sequence[SlotState]) -> None:
    for slot in slots:
        out.print(slot.shown, soft_wrap=True, markup=False)


def _failed(rows: Sequence[TableStatus]) -> Iterator[tuple[TableStatus, str]]:
    for row in rows:
        if failed := row.last_failure:
            yield row, f"{row.name} failed at {short(failed.at)}: {failed.error}"


def _status_row(row: TableStatus) -> tuple[str, ...]:
    return (
        row.name,
        "paused" if row.paused else row.mode,
        short(row.checkpoint),
        short(row.last_load),
        age(row.age_seconds),
        f"{row.loads:,}",
        f"{row.files:,}",
        f"{row.raw_rows:,}",
        "-" if row.staged_rows is None else f"{row.staged_rows:,}",
        "-" if row.paused else "detected" if row.sees_deletes else "ignored",
        short(row.published_at),
        row.freshness or "-",
    )


def print_freshness(rows: Sequence[TableFreshness], slots: Sequence[SlotState] = ()) -> None:
    """Prints the age of each table's newest load, and what slots hold back of the log."""
    columns = (Column("table"), Column("newest load", 1), Column("age"), Column("freshness"))
    cells = [
        (row.name, short(row.last_load), age(row.age_seconds), row.freshness or "-") for row in rows
    ]
    out = console()
    print_rows(out, columns, cells)
    _print_slots(out, slots)
