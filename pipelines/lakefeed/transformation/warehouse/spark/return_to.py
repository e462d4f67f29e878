"""Brings tables back to a version: what a build left, or a rollback undid."""

from __future__ import annotations

from collections.abc import Iterable

from lakefeed.declaration.project import Project
from lakefeed.errors import Refused
from lakefeed.transformation.targets.spark import Session, quoted, text_literal
from lakefeed.transformation.warehouse.base.ledger import LEDGER, SCHEMA
from lakefeed.transformation.warehouse.spark.register import SparkRegister, SparkVersion, ours_of
from lakefeed.transformation.warehouse.spark.relations import Ours, Stored, drops, stored


def refuse_tables_of_others(project: Project, session: Session, register: SparkRegister) -> None:
    """Checks, before the first build in a catalog, that it won't replace what others made there.

    Raises:
        Refused: the catalog has a table or view with the name of a model.
    """
    if register.has_begun:
        return
    others = [relation.key for relation in stored(session, ours_of(register, project))]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise Refused(
            f"the catalog has tables with the names of models, which Lakefeed didn't make: "
            f"{others[0]}{more}",
            where=project.declared.document.where(("warehouse", "catalog")),
            do="declare another catalog, or drop them",
        )


def bring_back(
    session: Session,
    catalog: str,
    version: SparkVersion | None,
    kept: Iterable[SparkVersion],
    ours: Ours,
) -> dict[str, int | None]:
    """Makes our relations what they are in a version; None stands for an empty one.

    Args:
        kept: the versions whose tables must stay.
        ours: the relations that the project builds; others are left alone.

    Returns:
        The tables that had to stay although they aren't in the version, with their snapshots.
        Those of `_lakefeed` aren't among them: the next build goes on with them, and what they
        recorded of models is deleted.
    """
    now = {relation.key: relation for relation in stored(session, ours)}
    then = {relation.key: relation for relation in version.relations} if version else {}
    gone = leave(session, [now[key] for key in now.keys() - then.keys()], kept)
    records = [now[key] for key in gone if now[key].schema == SCHEMA]
    for table in records:
        if table.name in LEDGER:
            session.rows(f"delete from {table.quoted}")
    for key in sorted(then.keys()):
        put_back(session, catalog, now.get(key), then[key])
    return {key: gone[key] for key in gone.keys() - {table.key for table in records}}


def leave(
    session: Session, relations: Iterable[Stored], kept: Iterable[SparkVersion]
) -> dict[str, int | None]:
    """Drops these relations, except for tables that a kept version shows.

    Returns:
        Those tables, with their snapshots.
    """
    needed = {r.key for version in kept for r in version.relations if r.kind == "table"}
    found = list(relations)
    for statement in drops(r for r in found if r.kind == "view" or r.key not in needed):
        session.rows(statement)
    return {r.key: r.snapshot for r in found if r.kind == "table" and r.key in needed}


def put_back(session: Session, catalog: str, now: Stored | None, then: Stored) -> None:
    """Makes one relation what it was; does nothing if it still is."""
    if now is not None and (now.kind, now.snapshot, now.sql) == (
        then.kind,
        then.snapshot,
        then.sql,
    ):
        return
    if then.kind == "view":
        if now is not None and now.kind == "table":
            session.rows(f"drop table {now.quoted} purge")
        session.rows(f"create or replace view {then.quoted} as {then.sql}")
        return
    if then.snapshot is None:
        session.rows(f"delete from {then.quoted}")
        return
    if _columns(session, f"select * from {then.quoted}") == _columns(
        session, f"select * from {then.pinned}"
    ):
        # Changes the table's metadata only.
        table = text_literal(f"{then.schema}.{then.name}")
        session.rows(
            f"call {quoted(catalog)}.system.set_current_snapshot({table}, {then.snapshot})"
        )
        return
    session.rows(
        f"create or replace table {then.quoted} using iceberg as select * from {then.pinned}"
    )


def _columns(session: Session, query: str) -> list[tuple[str, str]]:
    return [(name, kind) for name, kind, _ in session.rows(f"describe query {query}")]
