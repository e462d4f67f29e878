"""Tables on a terminal: numbers and names are never cut, whatever the width.

Columns that don't fit are dropped, the least important first. If even the most important ones don't
fit, rows are stacked: one line per value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid

# Rich puts a space on either side of a column, and one between two columns.
_PADDING = 3


@dataclass(frozen=True)
class Column:
    """A heading and its `importance`: 1 is dropped first, None is never dropped."""

    heading: str
    importance: int | None = None
    is_number: bool = False


def print_rows(out: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows with as many columns as fit the terminal."""
    widths = [
        max(cell_len(text) for text in (column.heading, *(row[place] for row in rows)))
        for place, column in enumerate(columns)
    ]
    # Files and logs have no width.
    width = out.width if out.is_terminal else _width(range(len(columns)), widths)
    kept = _fitting(columns, widths, width)
    if _width(kept, widths) > width:
        _print_stacked(out, columns, rows)
        return
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    for place in kept:
        column = columns[place]
        justify = "right" if column.is_number else "left"
        grid.add_column(column.heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for row in rows:
        grid.add_row(*(row[place] for place in kept))
    out.print(grid, markup=False, width=_width(kept, widths), crop=False)
    left_out = [column.heading for place, column in enumerate(columns) if place not in kept]
    if left_out:
        out.print(f"hidden at this width: {', '.join(left_out)}", markup=False)


def _width(places: Iterable[int], widths: Sequence[int]) -> int:
    return sum(widths[place] + _PADDING for place in places)


def _fitting(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """The positions of the columns that stay."""
    kept = list(range(len(columns)))
    droppable = sorted(
        (importance, place)
        for place, column in enumerate(columns)
        if (importance := column.importance) is not None
    )
    for _, place in droppable:
        if _width(kept, widths) <= width:
            break
        kept.remove(place)
    return kept


def _print_stacked(out: Console, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    widest = max(cell_len(column.heading) for column in columns[1:])
    for row in rows:
        out.print(row[0], markup=False, soft_wrap=True)
        for column, text in zip(columns[1:], row[1:], strict=True):
            out.print(f"  {column.heading:<{widest}}  {text}", markup=False, soft_wrap=True)
