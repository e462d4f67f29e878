"""Queries that read one version, whatever names dbt's SQL has for its relations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from sqlglot import exp, parse_one

from lakefeed.errors import BuildFailed
from lakefeed.transformation.warehouse.clones.engine import Engine, Stored
from lakefeed.transformation.warehouse.registered.views import Place, parsed

Relations = Mapping[Place, Stored]


def item_of(engine: Engine, relations: Relations, one: Stored) -> str:
    """A relation of a version as a from-clause item."""
    if one.kind == "table":
        return engine.quoted(*one.place)
    return f"({view_of_version(engine, relations, one)})"


def view_of_version(engine: Engine, relations: Relations, view: Stored) -> str:
    """The query of a view, reading this version's tables and views.

    Raises:
        BuildFailed: the query isn't understood.
    """
    return _of_version(engine, relations, parsed(view, engine.dialect))


def query_of_version(engine: Engine, relations: Relations, sql: str) -> str:
    """A query that names relations by dbt's schemas, reading this version of each."""
    return _of_version(engine, relations, parse_one(sql, dialect=engine.dialect))


def in_order(engine: Engine, views: Sequence[Stored]) -> list[Stored]:
    """These views, each after those that it reads.

    Raises:
        BuildFailed: the query of one isn't understood.
    """
    by_place = {(view.schema, view.name): view for view in views}
    graph = {at: set(_read(engine, view)) & by_place.keys() for at, view in by_place.items()}
    try:
        return [by_place[at] for at in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        raise BuildFailed(f"these views read one another in a circle: {error.args[1]}") from None


def _read(engine: Engine, view: Stored) -> Iterator[Place]:
    for table in parsed(view, engine.dialect).find_all(exp.Table):
        if found := _place_of(engine, table):
            yield found


def _place_of(engine: Engine, table: exp.Table) -> Place | None:
    schema, name = table.args.get("db"), table.this
    if isinstance(schema, exp.Identifier) and isinstance(name, exp.Identifier):
        return engine.name_of(schema), engine.name_of(name)
    return None


def _of_version(engine: Engine, relations: Relations, query: exp.Expr) -> str:
    for table in list(query.find_all(exp.Table)):
        place = _place_of(engine, table)
        known = relations.get(place) if place else None
        if known is None:
            continue
        item = f"select * from {item_of(engine, relations, known)}"
        alias = table.args.get("alias") or exp.TableAlias(this=table.this.copy())
        inner = parse_one(item, dialect=engine.dialect)
        table.replace(exp.Subquery(this=inner, alias=alias.copy()))
    return query.sql(dialect=engine.dialect)
