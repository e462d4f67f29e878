"""Where a server that was promoted left the log of the one before it."""

from __future__ import annotations

from contextlib import suppress

import psycopg2

from lakefeed.source.connections.connection import Connection
from lakefeed.source.log.lsn import parse_lsn
from lakefeed.source.log.session import open_replication


def left_at(connection: Connection, before: str, now: str) -> int | None:
    """The position up to which a server has the log of an earlier history of its own.

    Args:
        before: that history, as `Snapshot.history` has it: the system's identifier and a timeline.
        now: the server's own.

    Returns: None if it has nothing of that history, as after another backup was restored, or its
        log doesn't tell.

    Raises:
        SourceUnreachable: the connection couldn't be opened, or the role lacks a right.
    """
    system, _, timeline = before.partition("/")
    system_now, _, timeline_now = now.partition("/")
    if system != system_now:
        return None
    opened = open_replication(connection)
    try:
        with opened.line.waiting(), opened.session.cursor() as cursor:
            cursor.execute(f"TIMELINE_HISTORY {int(timeline_now)}")
            ((_, content),) = cursor.fetchall()
    except psycopg2.Error:
        # Of its first timeline, a server has no file.
        return None
    finally:
        opened.close()
    return _left(bytes(content).decode() if isinstance(content, memoryview) else content, timeline)


def _left(history: str, timeline: str) -> int | None:
    """Where a timeline ends, by the lines of a history file: `1\t0/3000000\treason`."""
    for line in history.splitlines():
        number, *rest = line.split()[:2] or [""]
        if number == timeline and rest:
            with suppress(ValueError):
                return parse_lsn(rest[0])
    return None
