"""Lineage as it is read: from a table's columns to the marts, and from a model's columns back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakefeed.declaration.tables import Table
from lakefeed.orchestration.inspect.overview import ModelOverview, TableOverview
from lakefeed.transformation.generate.staging_models import staged_columns
from lakefeed.transformation.lineage.column_lineage import Origin
from lakefeed.transformation.lineage.project_lineage import Lineage


@dataclass(frozen=True)
class Place:
    """A column somewhere, `owner.column`; `unchanged` tells that its value is the same there."""

    owner: str
    column: str
    unchanged: bool


@dataclass(frozen=True)
class ColumnLine:
    """A column, and the columns that it ends in, or comes from."""

    name: str
    type: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Lines:
    """The columns of a table or of a model; `unknown` says why they aren't known, if so."""

    name: str
    columns: tuple[ColumnLine, ...]
    unknown: str = ""


def lines_of_tables(
    tables: Sequence[TableOverview], models: Sequence[ModelOverview], lineage: Lineage
) -> list[Lines]:
    """For each table, where its columns end: in the marts, and not in what is between."""
    marts = [one.model.name for one in models if not one.model.is_staging]
    ends = _ends(marts, lineage)
    return [Lines(seen.table.shown, _columns_of(seen.table, ends)) for seen in tables]


def lines_of_models(models: Sequence[ModelOverview], lineage: Lineage) -> list[Lines]:
    """For each model, marts first, the columns of tables that its own come from."""
    return [
        Lines(
            one.model.name,
            tuple(
                ColumnLine(column, "", tuple(sorted(map(_origin, origins), key=_order)))
                for column, origins in found.columns.items()
            ),
            found.unknown,
        )
        for one in sorted(models, key=lambda one: (one.model.is_staging, one.model.name))
        if (found := lineage.models.get(one.model.name))
    ]


def _ends(marts: Sequence[str], lineage: Lineage) -> Mapping[tuple[str, str], list[Place]]:
    """By table and column; names of columns in lower case."""
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
            column.name,
            column.type,
            tuple(sorted(ends.get((table.shown, column.name.lower()), ()), key=_order)),
        )
        for column in (staged_columns(table) if table.catalogue else ())
    )


def _distinct(origins: frozenset[Origin]) -> list[Origin]:
    """One origin a column: a value that is passed on, and used besides, is passed on."""
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
