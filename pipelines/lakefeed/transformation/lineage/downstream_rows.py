"""Finds the rows of the warehouse that come from one row of the source, by column lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.loading.raw.row_key import Key
from lakefeed.transformation.generate.history_models import history_model_name, models_over_raw
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.lineage.project_lineage import ModelLineage, read_lineage
from lakefeed.transformation.manifest import (
    Model,
    Relationship,
    read_models,
    read_relationships,
    tables_above,
)
from lakefeed.transformation.warehouse.base.contents import Contents
from lakefeed.transformation.warehouse.base.matching_rows import Reference, Wanted


@dataclass(frozen=True)
class Pointing:
    """The number of rows in `model` that refer to the rows shown, by the value in column `at`."""

    model: str
    column: str
    at: str
    rows: dict[str, int]


@dataclass(frozen=True)
class ModelRows:
    """The rows of one model that come from the source row, with values as text.

    Attributes:
        relation: `schema.name`.
        by: the model's columns that contain the key.
        total: the number of all such rows.
        rows: at most `MOST_ROWS` of them.
        pointing: rows of other models that refer to these.
        unasked: why the model can't be queried; empty if it was.
    """

    model: str
    relation: str
    by: tuple[str, ...] = ()
    total: int = 0
    rows: tuple[dict[str, str | None], ...] = ()
    pointing: tuple[Pointing, ...] = ()
    unasked: str = ""


@dataclass(frozen=True)
class DownstreamRows:
    """A row in the warehouse: in staging, in its history if there is one, and in the marts."""

    staging: ModelRows | None
    history: ModelRows | None
    below: tuple[ModelRows, ...]


def downstream_rows(contents: Contents, project: Project, table: Table, key: Key) -> DownstreamRows:
    """Finds the rows of this version of the warehouse that come from the row with this key."""
    models, over_raw = read_models(project), models_over_raw(table)
    named, above = {model.name: model for model in models}, tables_above(models)
    descendants = [model for model in models if table.lake_name in above[model.name]]
    lineage = read_lineage(project, of={model.name for model in descendants})
    wanted = {
        model.name: _wanted(model, table, key, lineage.models[model.name]) for model in descendants
    }
    by_model = {
        model.name: _model_rows(contents, model, wanted[model.name]) for model in descendants
    }
    below = {name: rows for name, rows in by_model.items() if name not in over_raw}
    queried = {name for name, rows in below.items() if not rows.unasked}
    relationships = [
        relationship
        for relationship in read_relationships(project)
        if relationship.to in queried
        and relationship.model in named
        and relationship.model not in queried
    ]
    found = [
        _with_pointing(contents, rows, wanted[name], relationships=relationships, named=named)
        for name, rows in below.items()
    ]
    reached = {pointing.model for rows in found for pointing in rows.pointing}
    return DownstreamRows(
        by_model.get(staging_model_name(table)),
        by_model.get(history_model_name(table)),
        tuple(rows for rows in found if not (rows.unasked and rows.model in reached)),
    )


def _wanted(model: Model, table: Table, key: Key, lineage: ModelLineage) -> Wanted | str:
    """The rows of a model that contain the key; why they can't be told, otherwise."""
    if lineage.unknown:
        return lineage.unknown
    holding = [lineage.holding(table.shown, part.column.name) for part in key]
    missing = [part.column.name for part, held in zip(key, holding, strict=True) if not held]
    if missing:
        listed = ", ".join(f"`{name}`" for name in missing)
        return f"no column is an unchanged {listed} of {table.shown}"
    # For a composite key, use the first copy of each column: which others belong together is
    # unknown.
    used = holding if len(key) == 1 else [held[:1] for held in holding]
    return Wanted(_relation(model), tuple(zip(key, used, strict=True)))


def _model_rows(contents: Contents, model: Model, wanted: Wanted | str) -> ModelRows:
    nothing = ModelRows(model.name, ".".join(_relation(model)))
    if isinstance(wanted, str):
        return replace(nothing, unasked=wanted)
    found = contents.matching_rows(wanted)
    if found.unread:
        return replace(nothing, unasked=found.unread)
    by = tuple(name for _, names in wanted.key for name in names)
    return replace(nothing, by=by, total=found.total, rows=found.rows)


def _with_pointing(
    contents: Contents,
    rows: ModelRows,
    wanted: Wanted | str,
    *,
    relationships: Sequence[Relationship],
    named: Mapping[str, Model],
) -> ModelRows:
    """Adds the counts of rows that refer to these, such as the facts of a dimension."""
    if not rows.rows or isinstance(wanted, str):
        return rows
    counts = (
        _count_pointing(contents, rows, wanted, relationship, named[relationship.model])
        for relationship in relationships
        if relationship.to == rows.model
    )
    return replace(rows, pointing=tuple(filter(None, counts)))


def _count_pointing(
    contents: Contents, rows: ModelRows, wanted: Wanted, relationship: Relationship, of: Model
) -> Pointing | None:
    column, at = relationship.column, relationship.to_column
    counts = contents.references_to(wanted, Reference(_relation(of), column, at))
    if counts is None:
        return None
    shown = {
        value for row in rows.rows for name, value in row.items() if name.lower() == at.lower()
    }
    found = {value: n for value, n in counts.items() if value and value in shown}
    return Pointing(of.name, column, at, found)


def _relation(model: Model) -> tuple[str, str]:
    return model.schema, model.identifier
