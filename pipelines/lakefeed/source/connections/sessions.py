"""Opens psycopg2 sessions on a connection, with a read-only transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED
from psycopg2.extensions import connection as PgConnection

from lakefeed.errors import LakefeedError
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.failure import EndedByStandby
from lakefeed.source.connections.keepalive import Line
from lakefeed.source.connections.session_settings import transaction_settings
from lakefeed.source.connections.watched_session import WatchedSession, open_watched

# serialization_failure: read-only sessions get it only from conflicts with a standby's recovery.
_CONFLICT = "40001"


def open_session(connection: Connection, application: str) -> WatchedSession:
    """Opens a psycopg2 session, which the caller closes.

    Raises:
        SourceUnreachable: see `session_on`.
    """
    return session_on(Line(connection, application))


def session_on(line: Line) -> WatchedSession:
    """Opens a psycopg2 session on a line, which the caller closes.

    Raises:
        SourceUnreachable: with the kind of failure. libpq's message isn't attached, not even as the
            exception's context, since it may contain secrets and dlt stores contexts in its traces.
    """
    try:
        return open_watched(line)
    except (psycopg2.Error, ValueError) as error:
        failure = line.connection.failure(str(error))
    raise failure


def fetching(session: PgConnection) -> Callable[[str], list[tuple[Any, ...]]]:
    """A function that runs a query in this session and returns all of its rows."""

    def fetch(query: str) -> list[tuple[Any, ...]]:
        with session.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    return fetch


def begin(session: WatchedSession, settings: str) -> None:
    """Begins a transaction with these settings, and registers the session with the server."""
    with session.cursor() as cursor:
        cursor.execute(f"{settings}; {session.line.announcement}")
        _, address, port = cursor.fetchall()[0]
    session.line.server = f"{address} {port}"


@contextmanager
def connect(connection: Connection, application: str) -> Iterator[WatchedSession]:
    """Opens a session with a read-only transaction, and closes it when the block ends.

    Raises:
        SourceUnreachable: the connection couldn't be opened, or was lost.
        LakefeedError: the server refused a statement, and the block didn't catch that.
    """
    session = open_session(connection, application)
    try:
        # Set for each transaction: a standby refuses a role's default of `serializable`.
        session.set_session(isolation_level=ISOLATION_LEVEL_READ_COMMITTED, readonly=True)
        begin(session, transaction_settings())
        yield session
    except psycopg2.Error as error:
        raise refusal(connection, error) from None
    finally:
        session.close()


def refusal(connection: Connection, error: psycopg2.Error) -> LakefeedError:
    """The error for a failed statement, with the server's own message."""
    if error.pgcode is None or error.pgcode.startswith(("08", "57P")):
        return connection.lost()
    message = " ".join((error.diag.message_primary or type(error).__name__).split())
    if error.pgcode == _CONFLICT:
        return EndedByStandby(
            f"{connection.shown}: {message}", do="run again, or read from the primary"
        )
    return LakefeedError(
        f"{connection.shown} refused a statement: {message}",
        do="run again; if it fails again, check which privileges the role lacks "
        "(docs/guarantees.md)",
    )
