"""What changed since a table was last loaded, in the source or in sources.yaml, and what follows.

Decided from plain data: how the newest committed load was read, and how this one will be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from lakefeed.declaration.catalogue import ColumnIdentity
from lakefeed.loading.plan.replaced_columns import is_redefined, other_columns
from lakefeed.source.inspection.types import widens, writes_the_same


@dataclass(frozen=True)
class ReadContract:
    """What a load's rows depend on. Types are DuckDB's; `identity` tells a table created anew.

    `identities` are those of the columns, and `definition` is that of a view or a foreign table;
    both are None in loads of versions that didn't note them.
    `only`: the tables that inherit from it were left out; versions that didn't note it, read them.
    `parts` are the tables that hold its rows, each with the number of its storage; None where that
    says nothing, or in loads of versions that didn't note them.
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

    def is_like(self, other: ReadContract) -> bool:
        """Whether the same is read in the same way, whatever its columns and parts are."""
        unknown = replace(other, identities=None, definition=None, parts=None)
        return replace(self, identities=None, definition=None, parts=None) == unknown


@dataclass(frozen=True)
class ContractChanges:
    """`whole` tells that the table has to be read whole; the notes tell the user what and why.

    `added` are columns that rows loaded before don't have. `others` says which columns are others
    under the same name, where the catalogue shows no change. `fewer` tells that rows are left out
    from now on, as it was declared.

    `is_another_table` has it read from the beginning, without superseding what was loaded. The rows
    of `new_parts`, and those that were written since to `rewritten_parts`, are read whatever their
    cursor says.
    """

    whole: bool = False
    added: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    fewer: bool = False
    is_another_table: bool = False
    new_parts: tuple[int, ...] = ()
    rewritten_parts: tuple[int, ...] = ()


def changes_since(
    before: ReadContract | None,
    now: ReadContract,
    *,
    shown: str,
    reads_whole: bool,
    loaded_before: Collection[str] = (),
) -> ContractChanges:
    """What has to be done, and said, about the difference between two loads of a table.

    Args:
        shown: the table's name in commands, such as `shop.orders`.
        reads_whole: this load reads all rows anyway, so that nothing old stays.
        loaded_before: columns that any load that counts has had.
    """
    if before is None:
        return ContractChanges()
    others, retyped = _others(before, now), dict(_retyped(before, now))
    redefined = _redefined(before, now)
    causes = [*{**retyped, **others}.values(), *redefined, *_read_otherwise(before, now)]
    added = tuple(name for name in now.columns if name not in before.columns)
    causes += [
        f"column `{name}` is back, and rows loaded before may have other values in it"
        for name in added
        if name in loaded_before
    ]
    if causes or reads_whole:
        forced = tuple(f"{cause}, so the table is read whole" for cause in causes)
        unseen = (why for name, why in others.items() if name not in retyped)
        fewer = now.only and not before.only
        notes = () if reads_whole else forced
        return ContractChanges(bool(causes), (), notes, (*unseen, *redefined), fewer)
    notes = tuple(_what_stays_as_it_was(before, now, shown))
    if _is_another_table(before, now):
        told = (
            "the table was created anew, or another took its name, since the last load: read from "
            "the beginning"
        )
        return ContractChanges(False, added, (told, *notes), is_another_table=True)
    new, rewritten = _other_parts(before, now)
    return ContractChanges(False, added, notes, new_parts=new, rewritten_parts=rewritten)


def is_settled(before: ReadContract | None, now: ReadContract) -> bool:
    """Whether nothing has to be done, said or noted about how a table is read."""
    if before is None or before.identities is None or not before.is_like(now):
        return False
    is_noted = now.parts is None or before.parts == now.parts
    return is_noted and not changes_since(before, now, shown="", reads_whole=False).whole


def noted_from_present(
    before: ReadContract | None, now: ReadContract, *, read_whole: bool
) -> ReadContract | None:
    """What a load without news leaves to be noted with the newest one; None where that is nothing.

    What wasn't noted is taken from the present. Of a table that was created anew the numbers of
    columns are noted again; a view that was is known by its definition. Parts that are others were
    read.

    Args:
        read_whole: all rows were read as they are now, and are those that raw has.
    """
    if before is None or now.identities is None:
        return None
    if read_whole:
        return now if now != before else None
    told = replace(before, parts=now.parts)
    is_anew = before.identity != now.identity and now.definition is None
    if before.identities is None or is_anew:
        known = {name: one for name, one in now.identities.items() if name in before.columns}
        told = replace(told, identity=now.identity, identities=known, definition=now.definition)
    return told if told != before else None


def _is_another_table(before: ReadContract, now: ReadContract) -> bool:
    """Whether nothing is left of what held its rows."""
    if now.parts and before.parts is not None:
        return before.parts.keys().isdisjoint(now.parts)
    is_view = now.definition is not None and now.parts is None
    are_known = before.identity is not None and now.identity is not None
    return are_known and before.identity != now.identity and not is_view


def _other_parts(
    before: ReadContract, now: ReadContract
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Those that weren't there, and those with other storage; none where nothing was noted.

    A column that was widened has the table rewritten, and leaves its values as they are.
    """
    if before.parts is None or now.parts is None:
        return (), ()
    known, parts = before.parts, now.parts
    new = tuple(oid for oid in parts if oid not in known)
    is_widened = any(before.columns.get(name, kind) != kind for name, kind in now.columns.items())
    if is_widened:
        return new, ()
    return new, tuple(oid for oid, file in parts.items() if known.get(oid, file) != file)


def _others(before: ReadContract, now: ReadContract) -> dict[str, str]:
    """Columns that are others under the same name, and in which way."""
    same_table = before.identity == now.identity
    return dict(other_columns(before.identities or {}, now.identities or {}, same_table=same_table))


def _redefined(before: ReadContract, now: ReadContract) -> list[str]:
    if before.identities is None or now.identities is None:
        return []
    is_another_kind = (before.definition is None) != (now.definition is None)
    is_changed = is_another_kind or is_redefined(before.definition, now.definition)
    return ["its definition changed"] if is_changed else []


def _retyped(before: ReadContract, now: ReadContract) -> Iterator[tuple[str, str]]:
    for name, new in now.columns.items():
        old = before.columns.get(name, new)
        was, now_is = _types_of(name, before, now)
        if old != new and not widens(old, new):
            yield name, f"column `{name}` was {old} and is {new}"
        elif new in (old, "varchar") and not writes_the_same(was, now_is):
            yield name, f"column `{name}` was {was} and is {now_is}"


def _types_of(name: str, before: ReadContract, now: ReadContract) -> tuple[str, str]:
    """PostgreSQL's types for a column, then and now; none where unknown, or a user's own."""
    old, new = (before.identities or {}).get(name), (now.identities or {}).get(name)
    if old is None or new is None or old.members or new.members:
        return "", ""
    return old.type, new.type


def _read_otherwise(before: ReadContract, now: ReadContract) -> Iterator[str]:
    if before.key != now.key:
        was, now_is = ", ".join(before.key) or "none", ", ".join(now.key) or "none"
        yield f"its key was {was} and is {now_is}"
    if before.only != now.only:
        how = "without" if now.only else "with"
        yield f"it is now read {how} the tables that inherit from it"


def _what_stays_as_it_was(before: ReadContract, now: ReadContract, shown: str) -> Iterator[str]:
    again = f"lakefeed run --select {shown} --full-refresh"
    if before.cursor != now.cursor:
        was, now_is = before.cursor or "none", now.cursor or "none"
        yield f"its cursor was `{was}` and is `{now_is}`: read from the beginning"
    if before.where != now.where:
        yield f"`where` changed; it applies to rows read from now on, and to all with: {again}"
    if before.initial_value != now.initial_value and before.cursor == now.cursor:
        yield (
            f"`initial_value` was {before.initial_value or 'not set'} and is "
            f"{now.initial_value or 'not set'}; loads go on from the checkpoint. To load what lies "
            f"between: {again}"
        )
