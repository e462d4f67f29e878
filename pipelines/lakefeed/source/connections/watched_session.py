"""A session of psycopg2's whose line is looked after, so that nobody waits for it for ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import cursor as PgCursor

from lakefeed.errors import SourceUnreachable
from lakefeed.source.connections.keepalive import Line
from lakefeed.source.connections.watchdog import watch

# A session that ends has nothing more to learn.
CLOSING_SECONDS = 5.0


class WatchedCursor(PgCursor):
    """Its statements raise SourceUnreachable where the line was given up meanwhile."""

    connection: WatchedSession

    def execute(self, query: Any, vars: Any = None) -> None:
        with self.connection.line.waiting():
            super().execute(query, vars)

    def fetchmany(self, size: int | None = None) -> list[tuple[Any, ...]]:
        """Asks the server where the cursor has a name."""
        with self.connection.line.waiting():
            return super().fetchmany(size)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        with self.connection.line.waiting():
            super().copy_expert(sql, file, size)


class WatchedSession(PgConnection):
    """Opened by `open_watched`. `at_close` is what to call when it is closed, by any name: with
    whether the server has confirmed that its transaction is over."""

    line: Line
    at_close: dict[object, Callable[[bool], None]]

    def close(self) -> None:
        """Ends the transaction first: a pooler throws away a session that is left within one."""
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
    """A session on this line.

    Raises:
        psycopg2.Error: there is none to be had.
        SourceUnreachable: the line was given up meanwhile.
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
    session.line, session.at_close = line, {}
    return session
