"""How much of the log the slot of a source still has to keep, and for which tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from lakefeed.declaration.table import Table
from lakefeed.loading.log.held_slot import HeldSlot
from lakefeed.loading.log.positions import Position, committed_position
from lakefeed.source.log.lsn import parse_lsn
from lakefeed.source.log.slots import Slot
from lakefeed.wording import data_size


@dataclass(frozen=True)
class Kept:
    """What a slot keeps.

    Attributes:
        noted: how far the tables have come, by their names in the lake.
        end: where the server's log ends.
    """

    held: HeldSlot
    slot: Slot
    noted: Mapping[str, Position]
    end: int

    def target(self, known: Iterable[Table], *, loaded: Collection[str]) -> tuple[list[str], int]:
        """Messages, and the position that all tables have come to that the slot is to wait for.

        Args:
            known: tables of the source, some of which a wildcard may have matched for the first
                time.
            loaded: the names of those that this run has loaded, in the lake.
        """
        most = self.held.project.wal_of(self.held.connection.source).max_wal
        messages, target = [], self.end
        for table in self._waiting(known):
            name = table.lake_name
            lsn = self._position_of(name)
            # What is below the slot's own position can't be had from it any more.
            if lsn is None or lsn < self.slot.begins_at:
                continue
            kept = self.end - lsn
            if most is not None and kept > most and name not in loaded:
                messages.append(
                    f"{table.shown} wasn't loaded while {data_size(kept)} of the log were kept "
                    "for it, more than `max_wal` allows: the slot leaves it behind, and it must be "
                    f"read in full to go on: lakefeed run --select {table.shown} --full-refresh"
                )
                continue
            target = min(target, lsn)
        return messages, target

    def _position_of(self, name: str) -> int | None:
        if name in self.noted:
            return parse_lsn(self.noted[name].lsn)
        return committed_position(self.held.project.raw, name)

    def _waiting(self, known: Iterable[Table]) -> list[Table]:
        """The tables that the slot waits for: those that are declared so and not paused."""
        declared = self.held.project.tables_of(self.held.connection.source)
        tables = {table.lake_name: table for table in (*declared, *known)}
        return [table for table in tables.values() if table.reads_log and not table.is_paused]
