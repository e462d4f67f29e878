"""Finds the rows of the warehouse that come from one row of the source, by column lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.loading.raw.row_key import Key
from lakefeed.sql import quote
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

# At most this many rows of a model are read; all are counted.
MOST_ROWS = 10
# Columns by which the newest versions are chosen when there are more.
_SINCE = ("valid_from", "dbt_valid_from")


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


def downstream_rows(
    session: DuckDBPyConnection, project: Project, table: Table, key: Key
) -> DownstreamRows:
    """Finds the rows of this warehouse that come from the row with this key."""
    session.execute("set timezone = 'UTC'")
    models, over_raw = read_models(project), models_over_raw(table)
    named, above = {model.name: model for model in models}, tables_above(models)
    descendants = [model for model in models if table.lake_name in above[model.name]]
    lineage = read_lineage(project, of={model.name for model in descendants})
    by_model = {
        model.name: _model_rows(session, model, table, key, lineage.models[model.name])
        for model in descendants
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
    found = [_with_pointing(session, named, rows, relationships) for rows in below.values()]
    reached = {pointing.model for rows in found for pointing in rows.pointing}
    return DownstreamRows(
        by_model.get(staging_model_name(table)),
        by_model.get(history_model_name(table)),
        tuple(rows for rows in found if not (rows.unasked and rows.model in reached)),
    )


def _model_rows(
    session: DuckDBPyConnection, model: Model, table: Table, key: Key, lineage: ModelLineage
) -> ModelRows:
    relation = f"{model.schema}.{model.identifier}"
    holding = [lineage.holding(table.shown, part.column.name) for part in key]
    nothing = ModelRows(model.name, relation)
    if lineage.unknown:
        return replace(nothing, unasked=lineage.unknown)
    missing = [part.column.name for part, held in zip(key, holding, strict=True) if not held]
    if missing:
        listed = ", ".join(f"`{name}`" for name in missing)
        return replace(nothing, unasked=f"no column is an unchanged {listed} of {table.shown}")
    # For a composite key, use the first copy of each column: which others belong together is
    # unknown.
    used = holding if len(key) == 1 else [held[:1] for held in holding]
    condition = _condition(key, used)
    try:
        total, rows = _select(session, _quoted(model), condition)
    except duckdb.CatalogException:
        return replace(nothing, unasked="it isn't in the warehouse yet")
    except duckdb.Error as error:
        return replace(nothing, unasked=str(error).split("\n", 1)[0])
    by = tuple(name for held in used for name in held)
    return replace(nothing, by=by, total=total, rows=rows)


def _condition(key: Key, columns: Sequence[Sequence[str]]) -> str:
    parts = (
        " or ".join(part.is_in(quote(name)) for name in names)
        for part, names in zip(key, columns, strict=True)
    )
    return " and ".join(f"({part})" for part in parts)


def _select(
    session: DuckDBPyConnection, relation: str, condition: str
) -> tuple[int, tuple[dict[str, str | None], ...]]:
    total = session.execute(f"select count(*) from {relation} where {condition}").fetchall()[0][0]
    names = [row[0] for row in session.execute(f"describe from {relation}").fetchall()]
    since = next((quote(name) for name in _SINCE if name in names), None)
    order, newest = (since, f"{since} desc") if since else ("all", "all")
    texts = ", ".join(f"{quote(name)}::varchar" for name in names)
    rows = session.execute(
        f"select {texts} from (from {relation} where {condition} order by {newest} "
        f"limit {MOST_ROWS}) order by {order}"
    ).fetchall()
    return total, tuple(dict(zip(names, row, strict=True)) for row in rows)


def _with_pointing(
    session: DuckDBPyConnection,
    named: dict[str, Model],
    rows: ModelRows,
    relationships: Sequence[Relationship],
) -> ModelRows:
    """Adds the counts of rows that refer to these, such as the facts of a dimension."""
    if not rows.rows:
        return rows
    counts = (
        _count_pointing(session, named, relationship, rows)
        for relationship in relationships
        if relationship.to == rows.model
    )
    return replace(rows, pointing=tuple(filter(None, counts)))


def _count_pointing(
    session: DuckDBPyConnection,
    named: dict[str, Model],
    relationship: Relationship,
    rows: ModelRows,
) -> Pointing | None:
    pointing, at = quote(relationship.column), quote(relationship.to_column)
    values = [
        value
        for row in rows.rows
        for name, value in row.items()
        if name.lower() == relationship.to_column.lower()
    ]
    try:
        counts = session.execute(
            f"select {pointing}::varchar, count(*) from {_quoted(named[relationship.model])} "
            f"where {pointing} in (select {at} from {_quoted(named[relationship.to])} "
            f"where {at}::varchar in (select unnest($1::varchar[]))) group by 1",
            [values],
        ).fetchall()
    except duckdb.Error:
        return None
    return Pointing(relationship.model, relationship.column, relationship.to_column, dict(counts))


def _quoted(model: Model) -> str:
    return f"{quote(model.schema)}.{quote(model.identifier)}"
