"""Whether the log still has all that came after a table's latest load. Pure functions."""

from __future__ import annotations

from lakefeed.loading.raw.load_manifest import Load
from lakefeed.source.log.lsn import lsn_text
from lakefeed.source.log.slots import Slot
from lakefeed.source.snapshot import Snapshot


def reason_to_read_anew(
    slot: Slot, position: int, newest: Load, *, snapshot: Snapshot, end: int
) -> str | None:
    """Why the log may lack changes since this position; None if it has all of them.

    One rule covers a slot that was made anew, invalidated, left behind after a failover or advanced
    by someone else, a server that was restored, and a table that was paused meanwhile.

    Args:
        position: up to where the table's changes are in raw.
        newest: its newest load.
        end: where the server's log ends now.
    """
    before = newest.in_flight.history if newest.in_flight else None
    now = snapshot.history
    if before and now and before != now:
        return "the server was restored or replaced since the latest load"
    if end < position:
        return (
            f"the server's log ends at {lsn_text(end)}, before {lsn_text(position)}, where the "
            "latest load ended: the server was restored"
        )
    if slot.begins_at > position:
        return (
            f"the slot `{slot.name}` begins at {lsn_text(slot.begins_at)}, after "
            f"{lsn_text(position)}, where the table's changes in raw end: the slot was made anew "
            "or left the table behind, or someone else advanced it"
        )
    return None
