"""The session that asks about many tables at a time, at the shared snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.source.connections.connection import session_name
from lakefeed.source.connections.session_settings import transaction_settings
from lakefeed.source.connections.sessions import begin, fetching, open_session
from lakefeed.source.connections.watched_session import WatchedSession
from lakefeed.sql import literal

_APPLICATION = "lakefeed probe"

Fetch = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class ProbingSession:
    """A session for one transaction after another, all at this snapshot."""

    session: WatchedSession
    snapshot: str

    @contextmanager
    def transaction(self, timeout_ms: int) -> Iterator[Fetch]:
        """A transaction, whose end releases all locks, and what fetches rows in it.

        It takes locks without waiting: waiting for the lock of one table while it holds those of
        others, it could deadlock with a migration.

        Args:
            timeout_ms: the limit of each statement, so that no table stays locked for longer.

        Raises:
            psycopg2.Error: a lock isn't free, a statement takes too long or fails, or the session
                leads to a server without this snapshot.
        """
        settings = transaction_settings(
            statement_timeout_ms=timeout_ms,
            lock_timeout_ms=1,
            application=session_name(_APPLICATION),
        )
        try:
            with self.session.cursor() as cursor:
                cursor.execute(f"set transaction snapshot {literal(self.snapshot)}")
            begin(self.session, settings)
            yield fetching(self.session)
        finally:
            self.session.rollback()


@contextmanager
def probing_session(source: SourceAtSnapshot, snapshot: str) -> Iterator[ProbingSession]:
    """Opens such a session as one of the run's.

    Raises:
        SourceUnreachable: no session could be opened.
    """
    opened: list[WatchedSession] = []
    source.count_session(lambda: opened.append(open_session(source.connection, _APPLICATION)))
    (session,) = opened
    try:
        session.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        yield ProbingSession(session, snapshot)
    finally:
        session.close()
        source.session_ended()
