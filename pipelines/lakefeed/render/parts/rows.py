"""How rows of a table or model are printed: common values once, then the differences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from lakefeed.wording import counted

if TYPE_CHECKING:
    from lakefeed.transformation.lineage.downstream_rows import ModelRows

Row = dict[str, str | None]

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.+]")
_LONGEST = 40
_WIDTH = 100
# Up to this many rows stand side by side.
_MOST_BESIDE = 4
# Bookkeeping of builds, not a value of the row.
_HIDDEN = ("_staged_batch",)


def render_rows(made: ModelRows, but: Row | None = None) -> Iterator[RenderableType]:
    """The rows: the values that all share once, then the columns in which they differ.

    Args:
        but: columns to omit where all rows agree.
    """
    if made.unasked:
        yield f"\n{made.relation}: {made.unasked}"
        return
    first = f", {len(made.rows)} of them shown" if made.total > len(made.rows) else ""
    by = f" by {', '.join(made.by)}" if made.total else ""
    yield f"\n{made.relation}: {counted(made.total, 'row')}{by}{first}"
    rows = [_with_references(row, made) for row in made.rows]
    names = list(rows[0]) if rows else []
    differing = [name for name in names if len({row.get(name) for row in rows}) > 1]
    same = {n: rows[0][n] for n in names if n not in differing and n not in (but or {})}
    if same:
        yield from pairs(same, 2)
    if 1 < len(rows) <= _MOST_BESIDE:
        yield Padding(_side_by_side(rows, differing), (0, 0, 0, 2), expand=False)
    elif len(rows) > 1:
        fitting = _fitting(rows, differing)
        yield Padding(_stacked(rows, fitting), (0, 0, 0, 2), expand=False)
        if hidden := [name for name in differing if name not in fitting]:
            yield f"  also in --json: {', '.join(hidden)}"


def _with_references(row: Row, rows: ModelRows) -> Row:
    """The row, and how many rows of each fact refer to it."""
    found = {name: value for name, value in row.items() if name not in _HIDDEN}
    for fact in rows.pointing:
        value = next((v for k, v in row.items() if k.lower() == fact.at.lower()), None)
        found[f"rows of {fact.model}"] = str(fact.rows.get(value or "", 0))
    return found


def _side_by_side(rows: Sequence[Row], names: Sequence[str]) -> Grid:
    grid = Grid(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    grid.add_column(no_wrap=True)
    for name in names:
        values = (Text(shown(row.get(name))) for row in rows)
        grid.add_row(Text(name, style="dim"), *values)
    return grid


def _fitting(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """As many columns as fit on a line."""
    fitting, width = [], 0
    for name in names:
        width += 3 + max(len(name), *(len(_short(row.get(name))) for row in rows))
        if width <= _WIDTH:
            fitting.append(name)
    return fitting


def _stacked(rows: Sequence[Row], names: Sequence[str]) -> Grid:
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    for name in names:
        grid.add_column(Text(name), no_wrap=True)
    for row in rows:
        grid.add_row(*(Text(_short(row.get(name))) for name in names))
    return grid


def pairs(row: Row, indent: int) -> Iterator[Text]:
    """Names and values, as many per line as fit."""
    line = Text(" " * indent)
    for name, value in row.items():
        text = shown(value)
        if len(line) > indent and len(line) + len(name) + len(text) > _WIDTH:
            yield line
            line = Text(" " * indent)
        line.append("" if len(line) == indent else "   ")
        line.append(f"{name} ", style="dim").append(text)
    yield line


def _short(value: str | None) -> str:
    return shown(value, _LONGEST // 2)


def shown(value: str | None, longest: int = _LONGEST) -> str:
    """A value on one line: times to the second, long texts cut, unprintable characters replaced."""
    if value is None:
        return "null"
    if _TIME.match(value):
        return value[:19]
    text = "".join(letter if letter.isprintable() else "·" for letter in value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
