"""The tables and views where dbt builds, and how they become again what a version has.

staging.stg_orders                  where dbt builds: readers leave it alone
_lakefeed.staged_loads              the ledger
_lakefeed_version_20261123t201500…  the clones that the version of this time was the first to have
public.fct_order                    what readers query
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from lakefeed.declaration.project import Project
from lakefeed.errors import Refused
from lakefeed.transformation.warehouse.base.ledger import SCHEMA
from lakefeed.transformation.warehouse.clones.engine import Engine, Stored
from lakefeed.transformation.warehouse.clones.reading import in_order
from lakefeed.transformation.warehouse.clones.register import CloneRegister, CloneVersion
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side

# How the names of schemas begin that have the clones of versions.
HELD = "_lakefeed_version_"
_TIME = "%Y%m%dt%H%M%S%f"

Ours = AbstractSet[tuple[str, str]]


def held_by(published_at: dt.datetime) -> str:
    """The schema that has the clones which the version of this time was the first to have."""
    return f"{HELD}{published_at.astimezone(dt.UTC):{_TIME}}"


def held_since(schema: str) -> dt.datetime:
    """When the version was published that was the first to have the clones in this schema."""
    return dt.datetime.strptime(schema.removeprefix(HELD), _TIME).replace(tzinfo=dt.UTC)


def ours(engine: Engine, register: CloneRegister, project: Project) -> Ours:
    """Schema and name of what belongs to the warehouse, besides the ledger."""
    found = register.ours(project)
    return {(engine.folded(schema), engine.folded(name)) for schema, name in found}


def stored(engine: Engine, ours: Ours) -> list[Stored]:
    """Our tables and views where dbt builds, as they are now, by schema and name."""
    wanted = {SCHEMA, *(schema for schema, _ in ours)}
    found = engine.stored(sorted(engine.schemas() & wanted))
    kept = (one for one in found if one.schema == SCHEMA or (one.schema, one.name) in ours)
    return sorted(kept, key=lambda one: (one.schema, one.name))


def refuse_tables_of_others(project: Project, engine: Engine, register: CloneRegister) -> None:
    """Checks, before the first build, that it won't replace what others made there.

    Raises:
        Refused: there is a table or view with the name of a model.
    """
    if register.has_begun:
        return
    others = [relation.key for relation in stored(engine, ours(engine, register, project))]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise Refused(
            f"{engine.place} has tables with the names of models, which Lakefeed didn't make: "
            f"{others[0]}{more}",
            where=project.declared.document.where(("warehouse",)),
            do="declare another place for the warehouse, or drop them",
        )


def bring_back(
    engine: Engine, version: CloneVersion | None, ours: Ours, *, anew: bool = False
) -> None:
    """Makes our relations what they are in a version; None stands for an empty one.

    Args:
        anew: every table is made again, even those that seem to be what they were.
    """
    now = {relation.key: relation for relation in stored(engine, ours)}
    then = {relation.key: relation for relation in version.relations} if version else {}
    drop(engine, [now[key] for key in now.keys() - then.keys()])
    put_back(engine, now, [replace(one, stamp="") if anew else one for one in then.values()])


def put_back(engine: Engine, now: Mapping[str, Stored], then: Iterable[Stored]) -> None:
    """Makes these relations what they were; does nothing to those that still are.

    Args:
        now: the relations as they are, by key.
    """
    changed = [one for one in then if not _is_still(now.get(one.key), one)]
    for schema in sorted({one.schema for one in changed} - engine.schemas()):
        engine.create_schema(schema)
    known = [now[one.key] for one in changed if one.key in now]
    kinds = {one.key: one.kind for one in changed}
    drop(engine, [one for one in known if one.kind != kinds[one.key]])
    tables = [one for one in changed if one.kind == "table"]
    side_by_side(lambda one: engine.clone(one.place, (one.schema, one.name)), tables)
    for view in in_order(engine, [one for one in changed if one.kind == "view"]):
        at = engine.quoted(view.schema, view.name)
        engine.rows(f"create or replace view {at} as {view.sql}")


def drop(engine: Engine, relations: Iterable[Stored]) -> None:
    """Drops these relations where dbt builds, views first."""
    for one in sorted(relations, key=lambda one: one.kind, reverse=True):
        engine.rows(f"drop {one.kind} if exists {engine.quoted(one.schema, one.name)}")


def _is_still(now: Stored | None, then: Stored) -> bool:
    if now is None or now.kind != then.kind:
        return False
    if then.kind == "view":
        return now.sql == then.sql
    return bool(then.stamp) and now.stamp == then.stamp
