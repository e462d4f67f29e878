"""Asks about tables without waiting long and without breaking the surrounding transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from psycopg2 import Error as PgError
from psycopg2 import errors
from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.side_query import NoAnswer, ask
from lakefeed.sql import quote_qualified

_SECONDS = 10
# A statement about several tables gives up before a session that waits for one of their locks
# would look for a deadlock, after a second by default, and end one of the two.
_BRIEFLY = "set local lock_timeout = '50ms'"
# Into how many parts tables are split if one of them fails all.
_PARTS = 8
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


def ask_of_all(
    session: PgConnection,
    tables: Sequence[CatalogueTable],
    question: Callable[[Sequence[CatalogueTable]], Mapping[str, T]],
) -> dict[str, T | TableBusy | TableRefused]:
    """Asks about all tables in one statement, and about ever fewer if that fails.

    So a table that can't be read costs only its own answer, and a few statements more. Each is
    within a savepoint that is rolled back afterwards, so that it keeps no lock.

    Args:
        question: asks about some of the tables; gives the answers by qualified name.

    Returns:
        The answer for each table by its qualified name, or why there is none.

    Raises:
        psycopg2.Error: the connection was lost, which doesn't concern one table alone.
    """
    if not tables:
        return {}
    waits = f"; {_BRIEFLY}" if len(tables) > 1 else ""
    try:
        with session.cursor() as cursor:
            cursor.execute(f"savepoint question{waits}")
            try:
                return {**question(tables)}
            finally:
                if not session.closed:
                    cursor.execute("rollback to savepoint question")
    except PgError as error:
        if error.pgcode is None:
            raise
        if len(tables) == 1:
            return {tables[0].qualified: _refused(tables[0], error)}
    size = -(-len(tables) // _PARTS)
    answers: dict[str, T | TableBusy | TableRefused] = {}
    for start in range(0, len(tables), size):
        answers |= ask_of_all(session, tables[start : start + size], question)
    return answers


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


def _refused(table: CatalogueTable, error: PgError) -> TableBusy | TableRefused:
    # For a foreign table, UndefinedTable comes from the foreign server.
    if isinstance(error, errors.UndefinedTable) and table.kind != "foreign table":
        return TableRefused("it was just dropped")
    if isinstance(error, _BUSY):
        return TableBusy("another session holds a lock on it")
    message = error.diag.message_primary or type(error).__name__
    return TableRefused(" ".join(message.split()))
