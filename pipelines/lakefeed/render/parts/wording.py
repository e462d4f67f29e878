"""How a report writes one table's load, one model's build, a time and an age."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.orchestration.reports.run_report import TableReport
    from lakefeed.transformation.dbt_adapter.runner import NodeResult


def table_line(report: TableReport) -> str:
    """The result of a table's load, in a line."""
    name = escape(f"{report.name:<28}")
    if report.status == "failed":
        return f"[red]✗[/] {name} failed"
    notes = escape("".join(f"; {note}" for note in report.notes))
    nulls = f", {report.null_cursors:,} without a cursor value" if report.null_cursors else ""
    if report.status == "unchanged":
        again = f" ({report.rows_read:,} read again)" if report.rows_read else ""
        return f"[dim]·[/] {name} nothing new{again}{nulls}{notes}"
    gone = f", {report.rows_deleted:,} deleted" if report.rows_deleted else ""
    rows = f"{counted(report.rows_written, 'row')}{gone}{nulls}"
    return f"[green]✓[/] {name} {rows} in {report.seconds:.1f} s{notes}"


def node_line(node: NodeResult) -> str:
    """The result of a model or test, with dbt's message if it failed."""
    name = escape(f"{node.kind} {node.name}")
    if node.failed:
        return f"[red]✗[/] {name}: {node.status}; {escape(node.told)}"
    if node.status == "warn":
        return f"[yellow]![/] {name}: {escape(node.told)}"
    if node.status == "skipped":
        return f"[dim]·[/] {name}: skipped"
    return f"[green]✓[/] {name}: {node.status} in {node.seconds:.1f} s"


def short(text: str | None) -> str:
    """A time to the second; other text unchanged."""
    if text is None:
        return "-"
    return text[:19].replace("T", " ") if len(text) > 19 and text[4:5] == "-" else text


def age(seconds: float | None) -> str:
    """Seconds in the coarsest unit that fits, such as `2h`; `never` for None."""
    if seconds is None:
        return "never"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
