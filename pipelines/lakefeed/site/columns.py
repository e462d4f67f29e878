"""Column lineage for the page: from table columns to the marts, and from model columns back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakefeed.declaration.table import Table
from lakefeed.orchestration.inspect.overview import ModelOverview, TableOverview
from lakefeed.source.statement import tables_read
from lakefeed.transformation.generate.staged_columns import whole_columns
from lakefeed.transformation.lineage.column_lineage import Origin
from lakefeed.transformation.lineage.project_lineage import Lineage


@dataclass(frozen=True)
class Place:
    """A column `owner.column`; `unchanged` means that the value is copied there as it is."""

    owner: str
    column: str
    unchanged: bool


@dataclass(frozen=True)
class ColumnLine:
    """A column, and the columns it is used in or comes from."""

    name: str
    type: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Lines:
    """The columns of a table or model; `unknown` says why they can't be traced, if so.

    `reads` are the source's tables that a table declared as a query reads.
    """

    name: str
    columns: tuple[ColumnLine, ...]
    unknown: str = ""
    reads: tuple[str, ...] = ()


def lines_of_tables(
    tables: Sequence[TableOverview], models: Sequence[ModelOverview], lineage: Lineage
) -> list[Lines]:
    """For each table, the mart columns that its columns end up in."""
    marts = [found.model.name for found in models if not found.model.is_staging]
    ends = _ends(marts, lineage)
    return [
        Lines(seen.table.shown, _columns_of(seen.table, ends), reads=tables_read(seen.table))
        for seen in tables
    ]


def lines_of_models(models: Sequence[ModelOverview], lineage: Lineage) -> list[Lines]:
    """For each model, marts first, the table columns that its columns come from."""
    return [
        Lines(
            seen.model.name,
            tuple(
                ColumnLine(column, "", tuple(sorted(map(_origin, origins), key=_order)))
                for column, origins in found.columns.items()
            ),
            found.unknown,
        )
        for seen in sorted(models, key=lambda seen: (seen.model.is_staging, seen.model.name))
        if (found := lineage.models.get(seen.model.name))
    ]


def _ends(marts: Sequence[str], lineage: Lineage) -> Mapping[tuple[str, str], list[Place]]:
    """Mart columns by table and lower-case column name."""
    ends: dict[tuple[str, str], list[Place]] = {}
    for mart in marts:
        found = lineage.models.get(mart)
        for column, origins in found.columns.items() if found else ():
            for origin in _distinct(origins):
                place = Place(mart, column, origin.unchanged)
                ends.setdefault((origin.table, origin.column.lower()), []).append(place)
    return ends


def _columns_of(
    table: Table, ends: Mapping[tuple[str, str], list[Place]]
) -> tuple[ColumnLine, ...]:
    return tuple(
        ColumnLine(
            column.loaded.name,
            column.loaded.type,
            tuple(sorted(ends.get((table.shown, column.loaded.name.lower()), ()), key=_order)),
        )
        for column in (whole_columns(table) if table.catalogue else ())
    )


def _distinct(origins: frozenset[Origin]) -> list[Origin]:
    """One origin per column: a value that is both copied and used counts as copied."""
    best: dict[tuple[str, str], Origin] = {}
    for origin in origins:
        key = (origin.table, origin.column)
        if key not in best or origin.unchanged:
            best[key] = origin
    return list(best.values())


def _origin(origin: Origin) -> Place:
    return Place(origin.table, origin.column, origin.unchanged)


def _order(place: Place) -> tuple[bool, str, str]:
    return not place.unchanged, place.owner, place.column
