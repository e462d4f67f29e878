"""The rows of the warehouse that were made from one row of the source, found by lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
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

# So many rows of a model are read; all are counted.
MOST_ROWS = 10
# Of versions of a row, the newest are read.
_SINCE = ("valid_from", "dbt_valid_from")


@dataclass(frozen=True)
class Pointing:
    """How many rows of a model point at those of another that are shown, by the value that they
    point at.
    """

    model: str
    column: str
    at: str
    rows: dict[str, int]


@dataclass(frozen=True)
class ModelRows:
    """The rows of one model, in `schema.name`, that were made from the row, as text.

    `total` counts all; `rows` has `MOST_ROWS` at most. `by` are the columns that hold the key.
    Where the model can't be asked, `unasked` says why.
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
    """What the warehouse has of a row: staging, its history if it is kept, and the models below."""

    staging: ModelRows | None
    history: ModelRows | None
    below: tuple[ModelRows, ...]


def downstream_rows(
    session: DuckDBPyConnection, project: Project, table: Table, key: Key
) -> DownstreamRows:
    """The rows of this warehouse that were made from the row with this key."""
    session.execute("set timezone = 'UTC'")
    models, over_raw = read_models(project), models_over_raw(table)
    named, above = {model.name: model for model in models}, tables_above(models)
    descend = [model for model in models if table.lake_name in above[model.name]]
    lineage = read_lineage(project, of={model.name for model in descend})
    asked = {
        model.name: _rows_of(session, model, table, key, lineage.models[model.name])
        for model in descend
    }
    below = {name: rows for name, rows in asked.items() if name not in over_raw}
    answered = {name for name, rows in below.items() if not rows.unasked}
    pointing = [
        one
        for one in read_relationships(project)
        if one.to in answered and one.model in named and one.model not in answered
    ]
    found = [_with_pointing(session, named, rows, pointing) for rows in below.values()]
    reached = {one.model for rows in found for one in rows.pointing}
    return DownstreamRows(
        asked.get(staging_model_name(table)),
        asked.get(history_model_name(table)),
        tuple(rows for rows in found if not (rows.unasked and rows.model in reached)),
    )


def _rows_of(
    session: DuckDBPyConnection, model: Model, table: Table, key: Key, lineage: ModelLineage
) -> ModelRows:
    relation = f"{model.schema}.{model.identifier}"
    holding = [lineage.holding(table.shown, part.column.name) for part in key]
    nothing = ModelRows(model.name, relation)
    if lineage.unknown:
        return replace(nothing, unasked=lineage.unknown)
    missing = [part.column.name for part, held in zip(key, holding, strict=True) if not held]
    if missing:
        told = ", ".join(f"`{name}`" for name in missing)
        return replace(nothing, unasked=f"no column of it is {told} of {table.shown}, unchanged")
    # With a key of several columns, which of their copies belong together isn't known.
    used = holding if len(key) == 1 else [held[:1] for held in holding]
    condition = _condition(key, used)
    try:
        total, rows = _select(session, _quoted(model), condition)
    except duckdb.CatalogException:
        return replace(nothing, unasked="it is not in the warehouse yet")
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
    """The rows, with the counts of those that point at them, such as the facts of a dimension."""
    ours = [one for one in relationships if one.to == rows.model]
    counted = [_counted(session, named, one, rows) for one in ours] if rows.rows else []
    return replace(rows, pointing=tuple(one for one in counted if one))


def _counted(
    session: DuckDBPyConnection, named: dict[str, Model], one: Relationship, rows: ModelRows
) -> Pointing | None:
    pointing, at = quote(one.column), quote(one.to_column)
    values = [
        v for row in rows.rows for name, v in row.items() if name.lower() == one.to_column.lower()
    ]
    try:
        counts = session.execute(
            f"select {pointing}::varchar, count(*) from {_quoted(named[one.model])} "
            f"where {pointing} in (select {at} from {_quoted(named[one.to])} "
            f"where {at}::varchar in (select unnest($1::varchar[]))) group by 1",
            [values],
        ).fetchall()
    except duckdb.Error:
        return None
    return Pointing(one.model, one.column, one.to_column, dict(counts))


def _quoted(model: Model) -> str:
    return f"{quote(model.schema)}.{quote(model.identifier)}"
