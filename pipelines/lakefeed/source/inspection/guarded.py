"""Queries one table without waiting long and without breaking the surrounding transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from psycopg2 import Error as PgError
from psycopg2 import errors
from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.side_query import NoAnswer, ask
from lakefeed.sql import quote_qualified

_SECONDS = 10
# The table is locked or slow, which doesn't mean that it can't be read.
_BUSY = (errors.LockNotAvailable, errors.QueryCanceled)

T = TypeVar("T")


class TableBusy(Exception):
    """The table didn't answer in time: another session locks it, or it has too much to count."""


class TableRefused(Exception):
    """The server can't or won't read this table; the message is the server's own."""


def bound_waits(session: PgConnection) -> None:
    """Limits how long this transaction's statements wait for locks, and how long they run."""
    with session.cursor() as cursor:
        cursor.execute(
            f"set local lock_timeout = '1s'; set local statement_timeout = '{_SECONDS}s'"
        )


def guarded(session: PgConnection, table: CatalogueTable, question: Callable[[], T]) -> T:
    """Calls `question` within a savepoint that is rolled back afterwards, so that it keeps no lock.

    Raises:
        TableBusy, TableRefused: the table couldn't be read.
        psycopg2.Error: the connection was lost, which doesn't concern this table alone.
    """
    try:
        with session.cursor() as cursor:
            cursor.execute("savepoint question")
            try:
                return question()
            finally:
                if not session.closed:
                    cursor.execute("rollback to savepoint question")
    except PgError as error:
        if error.pgcode is None:
            raise
        raise _refused(table, error) from error


def refuse_unreachable(connection: Connection, table: CatalogueTable) -> None:
    """Refuses a foreign table whose server can't be read, by reading a row of it.

    A session of its own does that, since a statement timeout doesn't end the wait for a foreign
    server on older versions.

    Raises:
        TableBusy, TableRefused: with the foreign server's reason.
    """
    relation = quote_qualified(table.schema, table.name)
    try:
        ask(connection, f"select from {relation} limit 1", [], within=_SECONDS)
    except NoAnswer:
        reason = f"its server can't be reached, or didn't answer within {_SECONDS} s"
        raise TableRefused(reason) from None
    except PgError as error:
        if error.pgcode is None:
            raise
        raise _refused(table, error) from error


def _refused(table: CatalogueTable, error: PgError) -> Exception:
    # For a foreign table, UndefinedTable comes from the foreign server.
    if isinstance(error, errors.UndefinedTable) and table.kind != "foreign table":
        return TableRefused("it was just dropped")
    if isinstance(error, _BUSY):
        return TableBusy("another session holds a lock on it")
    message = error.diag.message_primary or type(error).__name__
    return TableRefused(" ".join(message.split()))
