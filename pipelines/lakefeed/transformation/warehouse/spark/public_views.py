"""The views that readers query: each names a table and the snapshot that is published.

Spark replaces one view at a time. What is published is decided by the register; a publication that
was killed among the views is finished by whoever builds next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from lakefeed.errors import BuildFailed
from lakefeed.transformation.targets.spark import Spark, quoted, rows_of
from lakefeed.transformation.warehouse.spark.lock import change_locked
from lakefeed.transformation.warehouse.spark.register import SparkVersion, read_register
from lakefeed.transformation.warehouse.spark.relations import (
    PUBLIC,
    Stored,
    names_of,
    side_by_side,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def tag(session: SparkSession, relations: Iterable[Stored]) -> None:
    """Tags the snapshots of these tables, so that expiry by other programs keeps them.

    Source: https://iceberg.apache.org/docs/latest/branching/
    """
    run_all(
        session,
        [
            f"alter table {relation.quoted} create tag if not exists "
            f"{quoted(tag_name(relation))} as of version {relation.snapshot}"
            for relation in relations
            if relation.snapshot is not None
        ],
    )


def tag_name(relation: Stored) -> str:
    """The name of the tag at a table's snapshot."""
    return f"lakefeed_{relation.snapshot}"


def finish_publication(
    spark: Spark, session: SparkSession, *, shown: SparkVersion | None = None
) -> None:
    """Makes the public views show the published version, if they may not do so yet.

    Args:
        shown: the version that all of them show now, if that is known.
    """
    current = read_register(session).current
    if current is None or current.is_whole:
        return
    show(session, current, shown)
    change_locked(spark, session, lambda found: found.with_version(replace(current, is_whole=True)))


def show(session: SparkSession, version: SparkVersion, shown: SparkVersion | None) -> None:
    """Replaces the public views by those of this version, each in one step.

    Those of tables that are the same in `shown` stay.
    """
    rows_of(session, f"create namespace if not exists {PUBLIC}")
    names = {relation.public_name for relation in version.relations}
    same = set(shown.relations if shown else ())
    tables = [r for r in version.relations if r.kind == "table" and r not in same]
    run_all(session, [_view_of_table(table) for table in tables])
    # A view of a view needs the other one first.
    for statement in _views_of_views(version.relations):
        rows_of(session, statement)
    gone = [name for name in names_of(session, "view", PUBLIC) if name not in names]
    run_all(session, [f"drop view if exists {quoted(PUBLIC, name)}" for name in gone])


def _view_of_table(table: Stored) -> str:
    view = quoted(PUBLIC, table.public_name)
    source = table.pinned if table.snapshot is not None else f"{table.quoted} where false"
    return f"create or replace view {view} as select * from {source}"


def _views_of_views(relations: Sequence[Stored]) -> Iterator[str]:
    """The statements for views, each after those that it reads."""
    waiting = {relation.key: relation for relation in relations if relation.kind == "view"}
    queries = {key: _of_public(view, relations) for key, view in waiting.items()}
    reads = {key: _views_read(queries[key], waiting.values()) for key in waiting}
    while waiting:
        ready = [key for key in waiting if not reads[key] & waiting.keys()] or list(waiting)
        for key in ready:
            view = waiting.pop(key)
            text = queries[key].sql(dialect="spark")
            yield f"create or replace view {quoted(PUBLIC, view.public_name)} as {text}"


def _views_read(query: exp.Expr, views: Iterable[Stored]) -> set[str]:
    read = {table.name for table in query.find_all(exp.Table) if table.db == PUBLIC}
    return {view.key for view in views if view.public_name in read}


def _of_public(view: Stored, relations: Sequence[Stored]) -> exp.Expr:
    """The query of a view, reading the public views in place of what dbt builds."""
    public = {(relation.schema, relation.name): relation.public_name for relation in relations}
    try:
        query = parse_one(view.sql, dialect="spark")
    except SqlglotError:
        raise BuildFailed(
            f"{view.schema}.{view.name} can't be published: its SQL isn't understood",
            do="materialize the model as a table",
        ) from None
    for table in query.find_all(exp.Table):
        name = public.get((table.db or view.schema, table.name))
        if name:
            table.set("db", exp.to_identifier(PUBLIC, quoted=True))
            table.set("this", exp.to_identifier(name, quoted=True))
            table.set("catalog", None)
    return query


def run_all(session: SparkSession, statements: Iterable[str]) -> None:
    """Runs statements that don't depend on each other."""
    side_by_side(lambda statement: rows_of(session, statement), statements)
