"""Opens replication connections, and begins to read a slot with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import quote_ident
from psycopg2.extras import LogicalReplicationConnection

from lakefeed.errors import LakefeedError, SourceUnreachable
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.keepalive import Line
from lakefeed.source.connections.session_settings import session_settings
from lakefeed.source.connections.sessions import refusal
from lakefeed.source.connections.watchdog import watch
from lakefeed.source.log.checks import readable_slot
from lakefeed.source.log.failure import SlotBusy, no_replication, not_opened
from lakefeed.source.log.lsn import lsn_text
from lakefeed.source.log.slots import BUSY_SECONDS, PAUSE_SECONDS
from lakefeed.sql import literal

# The server ends a session whose client doesn't answer for so long. Here nobody answers while the
# caller is busy with what it read; TCP keepalives tell the server of a client that is gone.
_NEVER_END = "select set_config('wal_sender_timeout', '0', false)"


@dataclass(frozen=True)
class LogSource:
    """What is read.

    Attributes:
        since: a position after the one that the slot has confirmed; 0 for that one.
        streaming: have large transactions sent before they commit. Otherwise the server keeps their
            changes on its disk until then.
    """

    slot: str
    publication: str
    since: int = 0
    streaming: bool = True


@dataclass(frozen=True)
class LogSession:
    """A replication connection, on a line that the watchdog monitors."""

    connection: Connection
    session: PgConnection
    line: Line

    def close(self) -> None:
        """Closes the connection; the server frees the slot as soon as it notices."""
        try:
            self.session.close()
        finally:
            self.line.close()


def open_log(connection: Connection, source: LogSource) -> LogSession:
    """Opens a replication connection, to which the server begins to send what the slot has.

    Raises:
        LogUnreadable: the slot or the publication is missing or unfit.
        SlotBusy: another session reads the slot, and still does after some seconds.
        SourceUnreachable: the connection couldn't be opened, or the role lacks a right.
    """
    opened = open_replication(connection)
    with _kept_or_closed(opened, connection) as cursor:
        _set_up(opened, cursor)
        _start(opened.session, cursor, source)
    return opened


def open_replication(connection: Connection) -> LogSession:
    """Opens a replication connection.

    Raises:
        SourceUnreachable: it couldn't be opened, or the role lacks a right.
    """
    opened = _open(connection)
    with _kept_or_closed(opened, connection) as cursor:
        cursor.execute("IDENTIFY_SYSTEM")
    return opened


def why_no_replication(connection: Connection) -> SourceUnreachable | None:
    """Why no replication connection can be opened; None if one can."""
    try:
        open_replication(connection).close()
    except SourceUnreachable as error:
        return error
    return None


@contextmanager
def _kept_or_closed(opened: LogSession, connection: Connection) -> Iterator[Any]:
    """A cursor of the session, which is closed if the block fails; says why the server refused."""
    try:
        with opened.line.waiting(), opened.session.cursor() as cursor:
            yield cursor
    except BaseException as error:
        opened.close()
        if isinstance(error, psycopg2.Error):
            raise _refusal(connection, error) from None
        raise


def _open(connection: Connection) -> LogSession:
    """A connection that may be an ordinary one: some poolers ignore what was asked for.

    Nothing may be set in it before that is known, since others use it afterwards.
    """
    line = Line(connection, "lakefeed log")
    watch(line)
    try:
        with line.waiting():
            session = psycopg2.connect(line.dsn, connection_factory=LogicalReplicationConnection)
    except (psycopg2.Error, ValueError) as error:
        failure = not_opened(connection, str(error))
    except BaseException:
        line.close()
        raise
    else:
        return LogSession(connection, session, line)
    line.close()
    raise failure


def _set_up(opened: LogSession, cursor: Any) -> None:
    cursor.execute(opened.line.announcement_of_session)
    _, address, port = cursor.fetchall()[0]
    opened.line.server = f"{address} {port}"
    cursor.execute(f"{session_settings()}; {_NEVER_END}")


def _start(session: PgConnection, cursor: Any, source: LogSource) -> None:
    command = _command(session, source)
    until = time.monotonic() + BUSY_SECONDS
    while True:
        slot = readable_slot(session, source.slot, source.publication)
        if slot.active_pid is None:
            try:
                cursor.start_replication_expert(command)
            except errors.ObjectInUse:
                pass
            else:
                return
        if time.monotonic() > until:
            raise SlotBusy.named(source.slot, slot.active_pid)
        time.sleep(PAUSE_SECONDS)


def _command(session: PgConnection, source: LogSource) -> str:
    options = {
        # The first version that has `streaming`, and the newest that PostgreSQL 14 has.
        "proto_version": "2",
        "publication_names": quote_ident(source.publication, session),
        "streaming": "on" if source.streaming else "off",
    }
    given = ", ".join(f"{name} {literal(value)}" for name, value in options.items())
    slot = quote_ident(source.slot, session)
    return f"START_REPLICATION SLOT {slot} LOGICAL {lsn_text(source.since)} ({given})"


def _refusal(connection: Connection, error: psycopg2.Error) -> LakefeedError:
    # Only a replication connection knows such a command.
    if isinstance(error, errors.SyntaxError):
        return no_replication(connection)
    return refusal(connection, error)
