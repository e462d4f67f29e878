"""Publishes a version: clones what has changed, and shows readers what the version consists of.

What is published is decided by the register; a publication that was killed before readers saw it
whole is finished by whoever builds next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lakefeed.transformation.warehouse.clones.engine import Engine, Shown, Stored
from lakefeed.transformation.warehouse.clones.reading import view_of_version
from lakefeed.transformation.warehouse.clones.register import (
    CloneRegister,
    CloneVersion,
    lock_of,
    read_register,
)
from lakefeed.transformation.warehouse.registered.side_by_side import side_by_side


def held(
    engine: Engine, relations: Iterable[Stored], before: CloneVersion | None, schema: str
) -> tuple[Stored, ...]:
    """These relations with clones of their tables: those of the version before where it has them.

    Side effects: makes the other clones in this schema, which it creates.
    """
    known = {one.key: one for one in before.relations} if before else {}
    kept = [_as_before(one, known.get(one.key)) for one in relations]
    new = [one for one in kept if one.kind == "table" and not one.held]
    if new:
        engine.create_schema(schema)
    side_by_side(lambda one: engine.clone(one.place, (schema, one.public_name)), new)
    return tuple(replace(one, held=schema) if one in new else one for one in kept)


def finish_publication(engine: Engine, *, seen: CloneVersion | None = None) -> None:
    """Makes readers see the published version, if they may not do so yet.

    Args:
        seen: the version that they see all of now, if that is known.
    """
    register = read_register(engine)
    current = register.current
    if current is None or current.is_whole:
        return
    engine.show(_shown(engine, current, seen, public_names(register)))
    whole = replace(current, is_whole=True)
    lock_of(engine).change_locked(lambda found: found.with_version(whole))


def public_names(register: CloneRegister) -> set[str]:
    """The public names that versions have."""
    return {one.public_name for version in register.versions for one in version.relations}


def _as_before(now: Stored, before: Stored | None) -> Stored:
    is_same = (
        before is not None
        and now.kind == before.kind == "table"
        and bool(now.stamp)
        and now.stamp == before.stamp
    )
    return before if is_same and before is not None else now


def _shown(
    engine: Engine, version: CloneVersion, seen: CloneVersion | None, names: set[str]
) -> Shown:
    relations = {(one.schema, one.name): one for one in version.relations}
    tables = [one for one in version.relations if one.kind == "table"]
    views = [one for one in version.relations if one.kind == "view"]
    return Shown(
        {one.public_name: one.place for one in tables},
        {one.public_name: view_of_version(engine, relations, one) for one in views},
        same=_same(tables, seen),
        gone=names - {one.public_name for one in version.relations},
    )


def _same(tables: Sequence[Stored], seen: CloneVersion | None) -> set[str]:
    known = {(one.public_name, one.place) for one in seen.relations} if seen else set()
    return {one.public_name for one in tables if (one.public_name, one.place) in known}
