"""The views of a version, reading its tables elsewhere than where dbt has built them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from lakefeed.errors import BuildFailed

Place = tuple[str, str]


class Viewed(Protocol):
    """A table or view; `sql` is the query of a view."""

    @property
    def schema(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def sql(self) -> str: ...


V = TypeVar("V", bound=Viewed)


def views_at(
    relations: Sequence[V], place: Callable[[V], Place], dialect: str
) -> Iterator[tuple[Place, str]]:
    """Where each view among these relations is to be made, and its query, each after those that it
    reads.

    Args:
        place: the schema and name at which each relation is to be read, and each view is made.
        dialect: the engine's, as sqlglot names it.

    Raises:
        BuildFailed: the query of a view isn't understood.
    """
    places = {(relation.schema, relation.name): place(relation) for relation in relations}
    waiting = {place(relation): relation for relation in relations if relation.kind == "view"}
    queries = {at: _reading(view, places, dialect) for at, view in waiting.items()}
    reads = {
        at: {(table.db, table.name) for table in query.find_all(exp.Table)}
        for at, query in queries.items()
    }
    while waiting:
        ready = [at for at in waiting if not reads[at] & waiting.keys() - {at}] or list(waiting)
        for at in ready:
            del waiting[at]
            yield at, queries[at].sql(dialect=dialect)


def parsed(view: Viewed, dialect: str) -> exp.Expr:
    """The query of a view.

    Raises:
        BuildFailed: it isn't understood.
    """
    try:
        return parse_one(view.sql, dialect=dialect)
    except SqlglotError:
        raise BuildFailed(
            f"{view.schema}.{view.name} can't be published: its SQL isn't understood",
            do="materialize the model as a table",
        ) from None


def _reading(view: Viewed, places: Mapping[Place, Place], dialect: str) -> exp.Expr:
    """The query of a view, reading what dbt builds at other places."""
    query = parsed(view, dialect)
    for table in query.find_all(exp.Table):
        found = places.get((table.db or view.schema, table.name))
        if found:
            schema, name = found
            table.set("db", exp.to_identifier(schema, quoted=True))
            table.set("this", exp.to_identifier(name, quoted=True))
            table.set("catalog", None)
    return query
