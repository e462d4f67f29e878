"""How rows are shown: in the terminal, and as a Markdown table in docs/benchmarks.md."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.table import Table as RichTable

from benchmarks.rounds import Row

HEADINGS = (
    *("what", "contender", "version", "wall s", "× base", "CPU s", "× base", "server CPU s"),
    *("peak MB", "longest statement s", "written MB", "values"),
)
_NUMBERS = slice(3, 11)
_NONE = "–"


def cells_of(row: Row, group: str | None = None) -> list[str]:
    """One row as texts; a group that was named just before isn't named again."""
    return [
        "" if row.group == group else row.group,
        row.contender,
        row.version,
        _number(row.wall, 2),
        _number(row.ratio, 2),
        _number(row.client_cpu, 1),
        _number(row.cpu_ratio, 2),
        _number(row.server_cpu, 1),
        _megabytes(row.peak_bytes, 0),
        _number(row.longest, 1),
        _megabytes(row.written_bytes, 2),
        row.verdict,
    ]


def all_cells(rows: Sequence[Row]) -> list[list[str]]:
    """All rows as texts."""
    before = [None, *(row.group for row in rows)]
    return [cells_of(row, group) for row, group in zip(rows, before, strict=False)]


def markdown(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    width = len(HEADINGS)
    sides = ["---:" if number in range(width)[_NUMBERS] else "---" for number in range(width)]
    lines = [list(HEADINGS), sides, *([_escaped(cell) for cell in one] for one in all_cells(rows))]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def terminal(title: str, rows: Sequence[Row]) -> RichTable:
    """The rows as a table for the terminal."""
    table = RichTable(title=title, title_justify="left")
    for number, heading in enumerate(HEADINGS):
        right = number in range(len(HEADINGS))[_NUMBERS]
        table.add_column(
            heading.replace(" ", "\n") if right else heading, justify="right" if right else "left"
        )
    for cells in all_cells(rows):
        table.add_row(*cells)
    return table


def with_section(page: str, case: str, text: str) -> str:
    """The page with the text of one case replaced, between its two markers.

    Raises:
        ValueError: the page has no such markers.
    """
    begin, end = f"<!-- {case} -->", f"<!-- /{case} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        raise ValueError(f"the page lacks the markers {begin} and {end}")
    pattern = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", page)


def _number(value: float | None, digits: int) -> str:
    return _NONE if value is None else f"{value:.{digits}f}"


def _megabytes(value: int | None, digits: int) -> str:
    return _NONE if value is None else f"{value / 1e6:.{digits}f}"


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;")
