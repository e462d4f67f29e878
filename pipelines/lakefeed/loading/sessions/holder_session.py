"""A session that reads in the transaction that keeps the snapshot, where a run may have only one.

Each table is read within a savepoint, so that its locks end with it. The table's own lock, by which
loads exclude each other, must be taken before: it would end with the savepoint as well.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count

import duckdb
import psycopg2
from duckdb import DuckDBPyConnection

from lakefeed.errors import SourceUnreachable
from lakefeed.loading.sessions.cursor_session import CursorSession
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.connections.watched_session import WatchedSession

# The cursors of all tables are in one transaction, so no two may share a name.
_numbers = count()


class HolderSession(CursorSession):
    """Reads through psycopg2, in the session that keeps the snapshot and outlives this one."""

    def __init__(self, engine: DuckDBPyConnection, holder: WatchedSession, settings: str) -> None:
        SourceSession.__init__(self, engine, holder.line)
        self._source = holder
        self._numbers = _numbers
        with holder.cursor() as cursor:
            cursor.execute(f"savepoint reading; {settings}")
        self.execute("begin")

    def close(self) -> None:
        with suppress(duckdb.Error):
            self.execute("rollback")
        # A lost session has no savepoint, and whoever needs it next finds out.
        with suppress(psycopg2.Error, SourceUnreachable), self._source.cursor() as cursor:
            cursor.execute("rollback to savepoint reading; release savepoint reading")
