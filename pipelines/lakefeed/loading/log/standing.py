"""Whether the log still has all that came after a table's latest load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lakefeed.declaration.models.table_settings import LOG
from lakefeed.errors import TableFailed
from lakefeed.loading.log.decoding import at_most
from lakefeed.loading.log.held_slot import HeldSlot, OpenNow
from lakefeed.loading.log.histories import (
    history_before,
    is_promoted,
    read_up_to,
    reason_of_history,
)
from lakefeed.loading.log.positions import Position, position_of
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.transactions import in_flight_at
from lakefeed.source.log.failure import own_slot
from lakefeed.source.log.lsn import lsn_text
from lakefeed.source.log.slots import Slot
from lakefeed.source.snapshot import Snapshot


@dataclass(frozen=True)
class Standing:
    """Where tables stand in the log of one run.

    Attributes:
        noted: how far they have come, as noted in raw, by their names in the lake.
        end: where the server's log ends now.
    """

    held: HeldSlot
    snapshot: Snapshot
    noted: Mapping[str, Position]
    end: int

    def slot_for(self, plan: TablePlan, effective: Sequence[Load]) -> Slot:
        """The slot through which a table is read.

        Raises:
            TableFailed: it doesn't exist, or is lost.
        """
        before = history_before(effective, self.noted.get(plan.table.lake_name))
        promoted = is_promoted(before, self.snapshot.history)
        return usable_slot(plan, self.held, is_promoted=promoted)

    def position_of(self, plan: TablePlan, effective: Sequence[Load]) -> int:
        """The position from which a table goes on.

        Raises:
            TableFailed: the log may lack changes since then.
            SourceUnreachable: the server couldn't be asked.
        """
        slot, noted = self.slot_for(plan, effective), self.noted.get(plan.table.lake_name)
        position = position_of(effective, noted)
        assert position is not None
        before, now = history_before(effective, noted), self.snapshot.history
        read = read_up_to(effective, position)
        reason = reason_of_history(self.held.connection, before, now, read=read)
        reason = reason or reason_to_read_anew(
            slot,
            position,
            effective[-1],
            end=self.end,
            published=published_by(plan, self.held, self.snapshot),
        )
        if reason:
            raise cannot_go_on(plan, reason)
        return position


def cannot_go_on(plan: TablePlan, reason: str) -> TableFailed:
    """The error for a table of which the log may lack changes."""
    return TableFailed(
        f"{plan.table.shown} can't go on from the log: {reason}",
        where=plan.table.where_of("cursor"),
        do="nothing was lost so far; to read the table in full and go on from there: "
        f"lakefeed run --select {plan.table.shown} --full-refresh",
    )


def usable_slot(plan: TablePlan, held: HeldSlot, *, is_promoted: bool) -> Slot:
    """The slot through which a table is read.

    Args:
        is_promoted: whether the server was promoted, or restored, since the table's latest load.

    Raises:
        TableFailed: it doesn't exist, or is lost.
    """
    source = plan.table.source
    if (slot := held.slot) is None and is_promoted:
        raise TableFailed(
            f"{plan.table.shown} can't go on from the log: the server was promoted or restored "
            f"since the latest load, and doesn't have the replication slot `{held.name}`",
            where=plan.table.where_of("cursor"),
            do=f"lakefeed cdc setup --source {source} --apply; lakefeed run --select "
            f"{plan.table.shown} --full-refresh (docs/cdc.md says how a slot survives a failover)",
        )
    if slot is None:
        raise TableFailed(
            f"{plan.table.shown} is read by the log, but the replication slot "
            f"`{held.name}` doesn't exist",
            where=plan.table.where_of("cursor"),
            do=f"lakefeed cdc setup --source {source}",
        )
    if slot.is_lost:
        raise TableFailed(
            f"{plan.table.shown} is read by the log, but the server has removed what the slot "
            f"`{slot.name}` needs ({slot.invalidation or 'it kept none of the log'})",
            where=plan.table.where_of("cursor"),
            do=f"make it anew (lakefeed cdc drop --source {source} --apply; lakefeed cdc setup "
            f"--source {source} --apply), then: lakefeed run --select {source} --full-refresh",
        )
    return slot


def refuse_slot_of_others(plan: TablePlan, held: HeldSlot) -> None:
    """Checks that a project that is new to a slot doesn't take it from another one.

    Raises:
        TableFailed: something else has read the log through it.
    """
    if held.was_decoded:
        raise TableFailed(
            f"{plan.table.shown} can't be read by the log through the slot `{held.name}`, which "
            "was read before: by another project or environment, which would lose changes, or by "
            "this one with another raw layer",
            where=plan.table.where_of("cursor"),
            do=own_slot(plan.table.source),
        )


def reason_to_read_anew(
    slot: Slot,
    position: int,
    newest: Load,
    *,
    end: int,
    published: int,
) -> str | None:
    """Why the log may lack changes since this position; None if it has all of them.

    One rule covers a slot that was made anew, invalidated, or advanced by someone else, a server
    that was restored, and a table that was paused meanwhile. (`histories` has the rule for a server
    that isn't the one of the latest load any more.)

    Args:
        position: up to where the table's changes are in raw.
        newest: its newest load.
        end: where the server's log ends now.
        published: the transaction since which the table is published as it is now.
    """
    if newest.in_flight and not newest.in_flight.shows(published):
        return "its publication was changed since the latest load, or it was added to it again"
    if end < position:
        return (
            f"the server's log ends at {lsn_text(end)}, before {lsn_text(position)}, where the "
            "latest load ended: the server was restored"
        )
    if slot.begins_at > position:
        return (
            f"the slot `{slot.name}` begins at {lsn_text(slot.begins_at)}, after "
            f"{lsn_text(position)}, where the table's changes in raw end: the slot was made anew "
            "or left the table behind, or another project advanced it, which needs a slot of its "
            "own"
        )
    return None


def published_by(plan: TablePlan, held: HeldSlot, snapshot: Snapshot) -> int:
    """The transaction since which a table is published as it is now.

    Raises:
        TableFailed: it wasn't when the run began.
    """
    oids = {part.oid for part in plan.parts} | {plan.identity or 0}
    found = held.since.of(oids, plan.table.schema) if held.since else None
    if found is None:
        raise TableFailed(
            f"{plan.table.shown} was published while the run began",
            where=plan.table.where_of("cursor"),
            do="run again",
        )
    following = in_flight_at(snapshot, None).next_number
    return max(at_most(xid, following) for xid in found)


def refuse_unpublished_changes(
    plan: TablePlan, effective: Sequence[Load], held: HeldSlot, snapshot: Snapshot
) -> None:
    """Checks that the log will have all that the snapshot of a read of the whole table lacks.

    It has nothing that was written before the table was published, whenever that is committed.

    Raises:
        TableFailed: a transaction is open that may have written to the table before.
    """
    newest = effective[-1] if effective else None
    published, seen = published_by(plan, held, snapshot), newest.in_flight if newest else None
    by_log = newest is not None and newest.read_as is not None and newest.read_as.cursor == LOG
    if by_log and seen and seen.shows(published):
        return
    at_snapshot = OpenNow.at(snapshot.transactions, is_standby=snapshot.replayed is not None)
    still_open = at_snapshot.before(held.following)
    if still_open:
        raise TableFailed(
            f"{plan.table.shown} can't be loaded for the first time yet: transactions are open "
            f"that may have changed it before it was published ({len(still_open)})",
            where=plan.table.where_of("cursor"),
            do="run again once they have ended; they are in pg_stat_activity, by "
            f"backend_xid: {', '.join(map(str, sorted(still_open)))}",
        )
