"""Whether a server that isn't the one of the latest load any more has all that it had."""

from __future__ import annotations

from collections.abc import Sequence

from lakefeed.loading.log.positions import Position
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.source.connections.connection import Connection
from lakefeed.source.log.lsn import lsn_text, parse_lsn
from lakefeed.source.replication.timelines import left_at


def history_before(effective: Sequence[Load], noted: Position | None) -> str | None:
    """The history of the server at a table's latest load; None if that isn't known."""
    if not effective:
        return None
    newest = effective[-1]
    if noted and noted.history and noted.load_id == newest.load_id:
        return noted.history
    return newest.in_flight.history if newest.in_flight else None


def is_promoted(before: str | None, now: str | None) -> bool:
    """Whether a server has another timeline of the same system: it was promoted, or restored."""
    return bool(before and now) and before != now and _system(before) == _system(now)


def reason_of_history(
    connection: Connection, before: str | None, now: str | None, *, read: int | None
) -> str | None:
    """Why a server may lack what was read before; None if it has all of that.

    A server that is promoted goes on with another timeline, from the position up to which it had
    the log. What was read up to there is its own past as well; its numbers of transactions go on.

    Args:
        before: the history at a table's latest load.
        now: the server's own.
        read: a position in the log after all that is in raw; None if that isn't known.

    Raises:
        SourceUnreachable: the server couldn't be asked.
    """
    if not before or not now or before == now:
        return None
    left = left_at(connection, before, now)
    if left is None:
        return "the server was restored or replaced since the latest load"
    if read is None or read > left:
        came_to = f" {lsn_text(read)}" if read else ""
        return (
            f"the server was promoted or restored at {lsn_text(left)}, and raw may have later "
            f"changes{came_to and f', up to{came_to},'} that it lost"
        )
    return None


def read_up_to(effective: Sequence[Load], position: int) -> int | None:
    """A position after all that raw has of a table; None if an earlier version loaded it.

    The read of the whole table may show more than what the log was read for since.
    """
    seen = effective[0].in_flight
    return max(position, parse_lsn(seen.written)) if seen and seen.written else None


def _system(history: str | None) -> str:
    return (history or "").partition("/")[0]
