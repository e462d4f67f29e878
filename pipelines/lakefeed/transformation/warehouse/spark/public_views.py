"""The views that readers query: each names a table and the snapshot that is published.

Spark replaces one view at a time. What is published is decided by the register; a publication that
was killed among the views is finished by whoever builds next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from lakefeed.transformation.targets.spark import Session, Spark, quoted
from lakefeed.transformation.warehouse.registered import views
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side
from lakefeed.transformation.warehouse.spark.lock import change_locked
from lakefeed.transformation.warehouse.spark.register import SparkVersion, read_register
from lakefeed.transformation.warehouse.spark.relations import (
    PUBLIC,
    Stored,
    names_of,
)


def tag(session: Session, relations: Iterable[Stored]) -> None:
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
    spark: Spark, session: Session, *, shown: SparkVersion | None = None
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


def show(session: Session, version: SparkVersion, shown: SparkVersion | None) -> None:
    """Replaces the public views by those of this version, each in one step.

    Those of tables that are the same in `shown` stay.
    """
    session.rows(f"create namespace if not exists {PUBLIC}")
    names = {relation.public_name for relation in version.relations}
    same = set(shown.relations if shown else ())
    tables = [r for r in version.relations if r.kind == "table" and r not in same]
    run_all(session, [view_of_table(one, PUBLIC, one.public_name) for one in tables])
    # A view of a view needs the other one first.
    for statement in views_at(version.relations, lambda one: (PUBLIC, one.public_name)):
        session.rows(statement)
    gone = [name for name in names_of(session, "view", PUBLIC) if name not in names]
    run_all(session, [f"drop view if exists {quoted(PUBLIC, name)}" for name in gone])


def view_of_table(table: Stored, schema: str, name: str) -> str:
    """The statement that makes a view of a table at its snapshot."""
    source = table.pinned if table.snapshot is not None else f"{table.quoted} where false"
    return f"create or replace view {quoted(schema, name)} as select * from {source}"


def views_at(
    relations: Sequence[Stored], place: Callable[[Stored], tuple[str, str]]
) -> Iterator[str]:
    """The statements for the views among these relations, each after those that it reads.

    Args:
        place: the schema and name at which each relation is to be read, and each view is made.

    Raises:
        BuildFailed: the query of a view isn't understood.
    """
    for at, query in views.views_at(relations, place, "spark"):
        yield f"create or replace view {quoted(*at)} as {query}"


def run_all(session: Session, statements: Iterable[str]) -> None:
    """Runs statements that don't depend on each other."""
    side_by_side(session.rows, statements)
