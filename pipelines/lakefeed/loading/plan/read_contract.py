"""Determines what changed since a table's latest load, in the source or in sources.yaml.

Compares plain data: how the latest committed load was read, and how the next one will be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from lakefeed.declaration.catalogue import ColumnIdentity
from lakefeed.declaration.models.table_settings import LOG
from lakefeed.declaration.partitioning import Partition
from lakefeed.loading.plan.changed_settings import (
    changed_settings,
    changes_from_now_on,
    changes_with_reload,
    changes_without_reload,
    no_longer_read,
    protected_otherwise,
    still_clear,
)
from lakefeed.loading.plan.detached import left_of
from lakefeed.loading.plan.replaced_columns import (
    is_redefined,
    names_now,
    other_columns,
    other_parts,
    other_types,
)
from lakefeed.source.inspection.types import widens, writes_the_same


@dataclass(frozen=True)
class ReadContract:
    """What the rows of a load depend on.

    `columns` maps names to DuckDB types. `identity` is the table's oid, by which a recreated table
    is recognized. `identities` are those of the columns, and `definition` is the fingerprint of a
    view or foreign table; both are None in loads by versions that didn't record them.
    `query` is the declared query; then `definition` is the fingerprint of what it reads.
    `only`: child tables were excluded; versions that didn't record it included them.
    `parts` maps the oid of each table or partition with rows to its storage number; None where it
    doesn't apply, and in loads by versions that didn't record it.
    `protected` says how the values of columns were hashed, masked or truncated, without keys.
    `partitions` are those attached, if the rows of each can be told by its bounds; `detached` those
    that had left before, whose rows raw still has. `timezone` is the zone that a cursor without one
    is taken in; None for other cursors, and in loads by versions that didn't record it.
    `settings` are those that change what loads do from the next one on, as text by name; empty in
    loads by versions that didn't record them.
    """

    cursor: str | None
    key: tuple[str, ...]
    where: str | None
    initial_value: str | None
    columns: dict[str, str]
    identity: int | None
    identities: dict[str, ColumnIdentity] | None = None
    definition: str | None = None
    only: bool = False
    parts: dict[int, int] | None = None
    protected: dict[str, str] = field(default_factory=dict)
    query: str | None = None
    partitions: tuple[Partition, ...] | None = None
    detached: tuple[Partition, ...] = ()
    timezone: str | None = None
    settings: dict[str, str] = field(default_factory=dict)

    def is_like(self, other: ReadContract) -> bool:
        """Whether both are read in the same way, apart from column identities, parts and the
        settings that apply from the next load on."""
        apart: dict[str, Any] = dict.fromkeys(("identities", "definition", "parts", "partitions"))
        if self.timezone is None:
            apart["timezone"] = None
        return replace(self, **apart, detached=(), settings={}) == replace(
            other, **apart, detached=(), settings={}
        )


@dataclass(frozen=True)
class ContractChanges:
    """What the changes mean for the next load.

    `whole`: the table must be read in full; `notes` tell the user what changed and why that
    matters. `added` are columns that earlier loads don't have. `others` describes columns that were
    replaced under the same name, where the catalogue shows no change. `fewer`: the declaration now
    excludes rows on purpose.

    `is_another_table`: read from the beginning without superseding earlier loads. The rows of
    `new_parts`, and those written since to `rewritten_parts`, are read whatever their cursor value.
    The values that earlier loads have in `reprotected` columns must not get into later ones: they
    may be clear. `left` are the partitions that are no longer attached and whose rows raw may have;
    those in `left_now` were attached at the latest load.
    """

    whole: bool = False
    added: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    fewer: bool = False
    is_another_table: bool = False
    new_parts: tuple[int, ...] = ()
    rewritten_parts: tuple[int, ...] = ()
    reprotected: tuple[str, ...] = ()
    left: tuple[Partition, ...] = ()
    left_now: tuple[Partition, ...] = ()


def changes_since(
    before: ReadContract | None,
    now: ReadContract,
    *,
    shown: str,
    reads_whole: bool,
    loaded_before: Collection[str] = (),
    unread: Collection[str] = (),
) -> ContractChanges:
    """The changes since the latest load, and what they mean for the next one.

    Args:
        before: how the latest load was read; None if there is none.
        shown: the table's name in commands, such as `shop.orders`.
        reads_whole: the load reads all rows anyway and supersedes earlier loads.
        loaded_before: the columns of all effective loads.
        unread: the columns of the table that sources.yaml excludes.
    """
    if before is None:
        return ContractChanges()
    found = _changes_of_rows(
        before, now, shown=shown, reads_whole=reads_whole, loaded_before=loaded_before
    )
    is_whole = reads_whole or found.whole
    edits = (
        *no_longer_read(before, unread, reads_whole=is_whole),
        *changes_from_now_on(before, now),
    )
    found = replace(found, notes=(*found.notes, *edits))
    if now.partitions is None:
        return found
    is_same = before.identity == now.identity
    names = names_now(before.identities or {}, now.identities or {}) if is_same else {}
    earlier, left_now = left_of(before.detached, before.partitions or (), now.partitions, names)
    return replace(found, left=(*earlier, *left_now), left_now=left_now)


def _changes_of_rows(
    before: ReadContract,
    now: ReadContract,
    *,
    shown: str,
    reads_whole: bool,
    loaded_before: Collection[str],
) -> ContractChanges:
    """The changes apart from partitions that have left."""
    same_table, retyped = before.identity == now.identity, dict(_retyped(before, now))
    columns = (before.identities or {}, now.identities or {})
    others = dict(other_columns(*columns, same_table=same_table))
    redefined = _redefined(before, now)
    reprotected = dict(protected_otherwise(before, now))
    changed = {**retyped, **others, **reprotected}
    causes = [*changed.values(), *redefined, *changed_settings(before, now)]
    types = other_types(before.columns, now.columns)
    new_parts, rewritten = other_parts(before.parts, now.parts)
    if now.cursor == LOG and rewritten:
        # A rewritten table leaves no trace in the log, and `using` may have computed other values.
        causes += [cause for cause in types if cause not in causes]
    added = tuple(name for name in now.columns if name not in before.columns)
    causes += [
        f"column `{name}` is back, and its values may differ from those loaded before"
        for name in added
        if name in loaded_before
    ]
    if causes or reads_whole:
        forced = [f"{cause}, so the table is read in full" for cause in causes]
        if reads_whole:
            # Of these causes, those that nothing else tells: the catalogue has the source's.
            declared = [n for n in changed if n in reprotected or _is_declared(n, before, now)]
            forced = [*(changed[name] for name in declared), *changed_settings(before, now)]
        unseen = (reason for name, reason in others.items() if name not in retyped)
        edits = (*changes_with_reload(before, now), *_widened(before, now))
        notes = (*forced, *edits, *still_clear(before, now))
        return ContractChanges(
            whole=bool(causes),
            notes=notes,
            others=(*unseen, *redefined),
            fewer=now.only and not before.only,
            reprotected=tuple(reprotected),
        )
    notes = (*changes_without_reload(before, now, shown), *_widened(before, now))
    if _is_another_table(before, now):
        note = (
            "the table was recreated or replaced since the last load, so it is read from the "
            "beginning"
        )
        return ContractChanges(False, added, (note, *notes), is_another_table=True)
    # Widening a column rewrites the table but keeps its values, so it doesn't count.
    rewritten = () if types else rewritten
    return ContractChanges(False, added, notes, new_parts=new_parts, rewritten_parts=rewritten)


def is_settled(before: ReadContract | None, now: ReadContract) -> bool:
    """Whether nothing about how the table is read changed or remains to be recorded."""
    if before is None or before.identities is None or not before.is_like(now):
        return False
    if before.settings and before.settings != now.settings:
        return False
    is_recorded = now.parts is None or before.parts == now.parts
    is_recorded = is_recorded and before.partitions == now.partitions
    return is_recorded and not changes_since(before, now, shown="", reads_whole=False).whole


def noted_from_present(
    before: ReadContract | None, now: ReadContract, *, read_whole: bool
) -> ReadContract | None:
    """The contract to record with the latest load after a load without news; None if unchanged.

    Fills in what earlier versions didn't record. For a recreated table, column identities are
    recorded again; a recreated view is recognized by its definition. Changed parts have been read
    by this load.

    Args:
        read_whole: the load read all rows, and they equal the rows in raw.
    """
    if before is None or now.identities is None:
        return None
    if read_whole:
        return now if now != before else None
    updated = replace(
        before,
        parts=now.parts,
        partitions=now.partitions,
        detached=now.detached,
        timezone=now.timezone,
        settings=now.settings,
    )
    is_recreated = before.identity != now.identity and now.definition is None
    if before.identities is None or is_recreated:
        known = {name: now.identities[name] for name in now.identities if name in before.columns}
        updated = replace(
            updated, identity=now.identity, identities=known, definition=now.definition
        )
    return updated if updated != before else None


def _is_another_table(before: ReadContract, now: ReadContract) -> bool:
    """Whether none of the tables that held the rows is left."""
    if now.parts and before.parts is not None:
        return before.parts.keys().isdisjoint(now.parts)
    is_view = now.definition is not None and now.parts is None
    are_known = before.identity is not None and now.identity is not None
    return are_known and before.identity != now.identity and not is_view


def _redefined(before: ReadContract, now: ReadContract) -> list[str]:
    if before.identities is None or now.identities is None or before.query != now.query:
        return []
    is_another_kind = (before.definition is None) != (now.definition is None)
    is_changed = is_another_kind or is_redefined(before.definition, now.definition)
    what = "the definition of what the query reads" if now.query else "the definition"
    return [f"{what} changed"] if is_changed else []


def _retyped(before: ReadContract, now: ReadContract) -> Iterator[tuple[str, str]]:
    for name, new in now.columns.items():
        old = before.columns.get(name, new)
        was, now_is = _types_of(name, before, now)
        if old != new and not widens(old, new):
            yield name, f"column `{name}` was {old} and is {new}"
        elif new in (old, "varchar") and not writes_the_same(was, now_is):
            yield name, f"column `{name}` was {was} and is {now_is}"


def _widened(before: ReadContract, now: ReadContract) -> Iterator[str]:
    """The columns whose declared type is wider now, so that values loaded before fit."""
    protected = {**before.protected, **now.protected}
    for name, new in now.columns.items():
        old = before.columns.get(name, new)
        is_edit = name not in protected and _is_declared(name, before, now)
        if is_edit and widens(old, new):
            yield f"column `{name}` was {old} and is {new}, which has the values loaded before too"


def _is_declared(name: str, before: ReadContract, now: ReadContract) -> bool:
    """Whether a column has another type in the lake but, as far as is known, not in the source."""
    was, now_is = _types_of(name, before, now)
    kind = now.columns[name]
    return was == now_is and before.columns.get(name, kind) != kind


def _types_of(name: str, before: ReadContract, now: ReadContract) -> tuple[str, str]:
    """PostgreSQL's types of a column before and now; empty if unknown or user-defined."""
    old, new = (before.identities or {}).get(name), (now.identities or {}).get(name)
    if old is None or new is None or old.members or new.members:
        return "", ""
    return old.type, new.type
