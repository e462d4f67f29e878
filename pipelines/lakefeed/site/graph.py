"""The graph of tables and models, laid out from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from lakefeed.orchestration.inspect.overview import ModelOverview, TableOverview
from lakefeed.source.statement import tables_read

_NARROWEST, _WIDEST = 204, 420
# Width of a character in the graph's font, and the space beside a name, in pixels.
_CHARACTER, _MARGIN = 7.3, 18
_GAP = 64
_HEIGHT = 26
_STEP = 34
_LONGEST = int((_WIDEST - _MARGIN) / _CHARACTER)


@dataclass(frozen=True)
class Node:
    """A box: a table or model, its position, and the anchor of its columns."""

    name: str
    kind: str
    anchor: str
    x: int
    y: int

    @property
    def label(self) -> str:
        return self.name if len(self.name) <= _LONGEST else f"{self.name[: _LONGEST - 1]}…"


@dataclass(frozen=True)
class Edge:
    """A line from the right side of a box to the left side of another."""

    source: str
    target: str
    path: str


@dataclass(frozen=True)
class Graph:
    """Boxes of one size and the lines between them, on a canvas of this size."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    width: int
    height: int
    box: tuple[int, int] = (_NARROWEST, _HEIGHT)


def draw(tables: Sequence[TableOverview], models: Sequence[ModelOverview]) -> Graph:
    """Lays out every table and model to the right of all that it reads."""
    reads = _reads(tables, models)
    rows = _rows(reads)
    kinds = {seen.table.shown: ("table", f"table-{seen.table.shown}") for seen in tables}
    for seen in models:
        kind = "staging" if seen.model.is_staging else "mart"
        kinds[seen.model.name] = (kind, f"model-{seen.model.name}")
    tallest = max((len(names) for names in rows), default=0)
    box = _width_for(reads)
    placed = {
        name: Node(name, *kinds[name], depth * (box + _GAP), first + place * _STEP)
        for depth, names in enumerate(rows)
        for first in ((tallest - len(names)) * _STEP // 2,)
        for place, name in enumerate(names)
    }
    edges = [
        Edge(read, name, _line(placed[read], placed[name], box))
        for name, above in reads.items()
        for read in above
    ]
    width = max(len(rows) * (box + _GAP) - _GAP, 0)
    nodes, height = tuple(placed.values()), tallest * _STEP
    return Graph(nodes=nodes, edges=tuple(edges), width=width, height=height, box=(box, _HEIGHT))


def _width_for(names: Iterable[str]) -> int:
    """The width of boxes: that of the longest name, within bounds."""
    longest = max(map(len, names), default=0)
    return max(_NARROWEST, min(_WIDEST, round(longest * _CHARACTER + _MARGIN)))


def _reads(
    tables: Sequence[TableOverview], models: Sequence[ModelOverview]
) -> dict[str, list[str]]:
    """The parents of each table and model, ordered so that parents come first."""
    shown = {seen.table.lake_name: seen.table.shown for seen in tables}
    declared = {(seen.table.source, seen.table.qualified): seen.table.shown for seen in tables}
    reads: dict[str, list[str]] = {
        seen.table.shown: [] for seen in tables if seen.table.query is None
    }
    for table in (seen.table for seen in tables if seen.table.query is not None):
        found = [declared.get((table.source, name)) for name in tables_read(table)]
        reads[table.shown] = [name for name in found if name in reads]
    for seen in models:
        from_tables = [shown[name] for name in seen.model.reads_tables if name in shown]
        from_models = [name for name in seen.model.reads_models if name in reads]
        reads[seen.model.name] = list(dict.fromkeys([*from_tables, *from_models]))
    return reads


def _rows(reads: dict[str, list[str]]) -> list[list[str]]:
    """Names by depth, each near its parents, so that few lines cross."""
    depth: dict[str, int] = {}
    for name, above in reads.items():
        depth[name] = 1 + max((depth[read] for read in above), default=-1)
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in reads:
        columns[depth[name]].append(name)
    place: dict[str, float] = {}
    for names in columns:
        names.sort(key=lambda name: mean(place[read] for read in reads[name]) if reads[name] else 0)
        place |= {name: index for index, name in enumerate(names)}
    return columns


def _line(source: Node, target: Node, box: int) -> str:
    x1, y1 = source.x + box, source.y + _HEIGHT // 2
    x2, y2 = target.x, target.y + _HEIGHT // 2
    middle = x2 - _GAP // 2
    return f"M{x1} {y1}H{middle - _GAP // 2}C{middle} {y1} {middle} {y2} {x2} {y2}"
