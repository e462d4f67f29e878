"""Decodes the log of a source once, and spools what it says of each table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lakefeed.loading.log.change_files import ChangeFiles
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.source.log.messages import Begin, Relation
from lakefeed.source.log.rows import UNCHANGED, Change, Values

# A transaction's number has 32 bits in the log, and 64 in snapshots.
_XIDS = 2**32


@dataclass(frozen=True)
class Layout:
    """Where a change has the values of a plan's columns; None for a column that it lacks.

    `width` is the number of the change's columns.
    """

    width: int
    columns: tuple[int | None, ...]
    key: tuple[int, ...]

    def taken(self, values: Values) -> Sequence[Any]:
        """The values of the plan's columns, in its order."""
        if self._is_same:
            return values
        return [None if place is None else values[place] for place in self.columns]

    @cached_property
    def _is_same(self) -> bool:
        return self.columns == tuple(range(self.width))


class TableDecoder:
    """Spools the changes of one table.

    Attributes:
        keyless: where transactions were committed whose changes don't tell the key of a row, by
            their numbers: the table's key or its replica identity was another one.
    """

    def __init__(self, plan: TablePlan, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.files = ChangeFiles(folder, len(plan.columns))
        self.has_changes = self.has_truncate = False
        self.keyless: dict[int, int] = {}
        self._plan = plan
        self._names = [column.name for column in plan.columns]
        # Hashing a relation would take longer than decoding a row.
        self._relation: Relation | None = None
        self._layout = Layout(0, (), ())

    def add(self, begin: tuple[int, Begin], position: int, change: Change) -> int:
        """Spools a change at this position of its transaction; returns the position after it.

        Args:
            begin: the transaction, and its number in 64 bits.
        """
        self.has_changes = True
        if change.operation == "truncate":
            self.has_truncate = True
            self._add(begin, position, "truncate", [None] * len(self._names))
            return position + 1
        layout = self._layout_of(change.relation)
        if self._lacks_key(layout, change):
            xid, transaction = begin
            self.keyless[xid] = transaction.commit_lsn
            return position
        if change.operation == "insert":
            assert change.new is not None
            # Nothing is left out of it, and most changes of a busy table are inserts.
            xid, transaction = begin
            place = (xid, transaction.commit_lsn, position, transaction.committed_at)
            self.files.add((*place, "insert", None, False, *layout.taken(change.new)))
            return position + 1
        if change.new is None:
            assert change.old is not None
            self._add(begin, position, "delete", layout.taken(change.old))
            return position + 1
        moved = change.old is not None and _has_other_key(layout, change.old, change.new)
        if moved:
            assert change.old is not None
            self._add(begin, position, "delete", layout.taken(change.old))
            position += 1
        values = layout.taken(change.new)
        if change.old is not None:
            # With `replica identity full`, the row before has what the one after leaves out.
            before = layout.taken(change.old)
            values = [b if v is UNCHANGED else v for v, b in zip(values, before, strict=True)]
        self._add(begin, position, "insert" if moved else change.operation, values, moved=moved)
        return position + 1

    def _add(
        self,
        begin: tuple[int, Begin],
        position: int,
        operation: str,
        values: Sequence[Any],
        *,
        moved: bool = False,
    ) -> None:
        xid, transaction = begin
        unchanged = None
        if UNCHANGED in values:
            named = zip(self._names, values, strict=True)
            unchanged = [name for name, value in named if value is UNCHANGED]
            values = [None if value is UNCHANGED else value for value in values]
        place = (xid, transaction.commit_lsn, position, transaction.committed_at)
        self.files.add((*place, operation, unchanged, moved, *values))

    def _layout_of(self, relation: Relation) -> Layout:
        if relation is not self._relation:
            places = {column.name: place for place, column in enumerate(relation.columns)}
            self._relation = relation
            self._layout = Layout(
                len(relation.columns),
                tuple(places.get(name) for name in self._names),
                tuple(places[name] for name in self._plan.key if name in places),
            )
        return self._layout

    def _lacks_key(self, layout: Layout, change: Change) -> bool:
        if len(layout.key) < len(self._plan.key):
            return True
        return change.old is not None and any(change.old[at] is UNCHANGED for at in layout.key)


def decoders_of(plans: Sequence[TablePlan], folder: Path) -> dict[str, TableDecoder]:
    """A decoder for each table, by its name in the lake."""
    return {
        plan.table.lake_name: TableDecoder(plan, folder / plan.table.lake_name) for plan in plans
    }


def relations_of(plans: Sequence[TablePlan]) -> dict[int, list[str]]:
    """The names in the lake of the tables that the changes of each relation belong to.

    A partition is published by itself or as its root.
    """
    found: dict[int, list[str]] = {}
    for plan in plans:
        oids = {part.oid for part in plan.parts} | {plan.identity or 0}
        for oid in oids:
            found.setdefault(oid, []).append(plan.table.lake_name)
    return found


def at_most(xid: int, following: int) -> int:
    """The number of 64 bits of a transaction, from its lower 32, that was given before this one."""
    number = following - following % _XIDS + xid
    return number if number < following else number - _XIDS


def widened(xid: int, near: int) -> int:
    """A transaction's number of 64 bits, from its lower 32, by one that was in use then."""
    number = near - near % _XIDS + xid
    if number > near + _XIDS // 2:
        return number - _XIDS
    return number + _XIDS if number < near - _XIDS // 2 else number


def _has_other_key(layout: Layout, old: Values, new: Values) -> bool:
    return any(new[place] is not UNCHANGED and old[place] != new[place] for place in layout.key)
