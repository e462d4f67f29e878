"""psycopg2 sessions that the watchdog monitors, so that nothing waits for them forever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor

from lakefeed.errors import SourceUnreachable
from lakefeed.source.connections.budget import Budget
from lakefeed.source.connections.keepalive import Line
from lakefeed.source.connections.watchdog import watch

# Closing doesn't depend on the server's answer, so it waits only briefly for one.
CLOSING_SECONDS = 5.0


class WatchedCursor(PgCursor):
    """A cursor whose statements raise SourceUnreachable if the watchdog shut the line down."""

    connection: WatchedSession

    def execute(self, query: Any, vars: Any = None) -> None:
        with self.connection.line.waiting():
            super().execute(query, vars)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Fetches rows; a named cursor waits for the server."""
        with self.connection.line.waiting():
            return super().fetchmany(size)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        with self.connection.line.waiting():
            super().copy_expert(sql, file, size)


class WatchedSession(PgConnection):
    """A session that was opened by `open_watched`.

    Attributes:
        at_close: functions to call when it is closed, by an arbitrary key. Their argument says
            whether the server has confirmed the end of its transaction.
        budget: the slots that it holds for the sessions of its run; None if they aren't counted.
    """

    line: Line
    budget: Budget | None
    at_close: dict[object, Callable[[bool], None]]

    def close(self) -> None:
        """Closes the session after ending its transaction: a pooler discards server sessions whose
        client disconnects within one."""
        if self.closed:
            self._closed(False)
            return
        in_good_order = False
        try:
            with suppress(psycopg2.Error, SourceUnreachable), self.line.waiting(CLOSING_SECONDS):
                self.rollback()
                in_good_order = True
            super().close()
        finally:
            self._closed(in_good_order)

    def _closed(self, in_good_order: bool) -> None:
        self.line.close()
        while self.at_close:
            _, action = self.at_close.popitem()
            action(in_good_order)


def open_watched(line: Line) -> WatchedSession:
    """Opens a session on this line.

    Raises:
        psycopg2.Error: the session couldn't be opened.
        SourceUnreachable: the watchdog shut the line down.
    """
    watch(line)
    try:
        with line.waiting():
            session: WatchedSession = psycopg2.connect(
                line.dsn, connection_factory=WatchedSession, cursor_factory=WatchedCursor
            )
    except BaseException:
        line.close()
        raise
    session.line, session.at_close, session.budget = line, {}, None
    return session
