"""Questions about one table that neither wait long nor break the transaction they are asked in."""

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
# Somebody else is at work on it, or it is slow: that says nothing against it.
_BUSY = (errors.LockNotAvailable, errors.QueryCanceled)

T = TypeVar("T")


class TableBusy(Exception):
    """No answer in time: another session has the table locked, or there is too much to count."""


class TableRefused(Exception):
    """The server can't or won't read this table; the message is its own sentence."""


def bound_waits(session: PgConnection) -> None:
    """Bounds how long statements of this transaction wait for a lock, and how long they run."""
    with session.cursor() as cursor:
        cursor.execute(
            f"set local lock_timeout = '1s'; set local statement_timeout = '{_SECONDS}s'"
        )


def guarded(session: PgConnection, table: CatalogueTable, question: Callable[[], T]) -> T:
    """The answer; afterwards the transaction is as before, without locks, whatever came of it.

    Raises:
        TableBusy, TableRefused: there is none.
        psycopg2.Error: the connection was lost, which is no matter of one table.
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
    """Reads a foreign table, whose server may be silent.

    Older servers can't be made to give up then, so it is read by a session of its own.

    Raises:
        TableBusy, TableRefused: as the other server has it.
    """
    relation = quote_qualified(table.schema, table.name)
    try:
        ask(connection, f"select from {relation} limit 1", [], within=_SECONDS)
    except NoAnswer:
        reason = f"its server can't be reached, or gave no answer in {_SECONDS} s"
        raise TableRefused(reason) from None
    except PgError as error:
        if error.pgcode is None:
            raise
        raise _refused(table, error) from error


def _refused(table: CatalogueTable, error: PgError) -> Exception:
    # Of a foreign table it is the other server that says so.
    if isinstance(error, errors.UndefinedTable) and table.kind != "foreign table":
        return TableRefused("it was dropped meanwhile")
    if isinstance(error, _BUSY):
        return TableBusy("another session keeps it locked")
    said = error.diag.message_primary or type(error).__name__
    return TableRefused(" ".join(said.split()))
