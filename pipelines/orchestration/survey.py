"""What `init` learns of each table of a schema, without waiting long for any of them.

A table that can't be read or counted keeps no other from being declared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from psycopg2 import Error as PgError
from psycopg2 import errors
from psycopg2.extensions import connection as PgConnection

from pipelines.declaration.catalogue import CatalogueTable
from pipelines.orchestration.proposal import TableFacts
from pipelines.source.connection import Connection
from pipelines.source.equality import compared_by_text
from pipelines.source.inspect import (
    BASE_KINDS,
    column_facts,
    count_rows,
    denied_columns,
    estimated_size,
    hides_rows,
    inspect_tables,
    quote_qualified,
)
from pipelines.source.question import NoAnswer, ask

_SMALL_ENOUGH_TO_COUNT = 64 * 1024 * 1024
_SECONDS = 10
_PATIENCE = f"set local lock_timeout = '1s'; set local statement_timeout = '{_SECONDS}s'"
# Somebody else is at work on it, or it is slow: that says nothing against it.
_BUSY = (errors.LockNotAvailable, errors.QueryCanceled)

T = TypeVar("T")


def survey(connection: Connection, session: PgConnection, schema: str) -> Iterator[TableFacts]:
    """The facts of all tables of a schema.

    Side effect: bounds how long statements of this transaction wait.

    Args:
        session: one of the connection's.
    """
    with session.cursor() as cursor:
        cursor.execute(_PATIENCE)
    for table in inspect_tables(session, [schema]).values():
        if table.kind in BASE_KINDS:
            yield _facts(connection, session, table)


def _facts(connection: Connection, session: PgConnection, table: CatalogueTable) -> TableFacts:
    names = [column.name for column in table.columns]
    try:
        denied = _asked(session, lambda: denied_columns(session, table, names))
        columns = _asked(session, lambda: column_facts(session, table))
        hidden = _asked(session, lambda: hides_rows(session, table))
        key = [column for column in table.columns if column.name in table.primary_key]
        doubts = _asked(session, lambda: tuple(compared_by_text(session, table, key)))
    except PgError as error:
        return TableFacts(table, {}, (), None, None, refused=_refusal(table, error))
    if hidden:
        reason = "row-level security would hide rows from this role, which needs bypassrls"
        return TableFacts(table, columns, tuple(denied), None, None, refused=reason)
    if len(columns) < len(names):
        reason = "it is being dropped or altered"
        return TableFacts(table, columns, (), None, None, refused=reason)
    if len(denied) == len(names):
        return TableFacts(table, columns, tuple(denied), None, None)
    if table.kind == "foreign table":
        refused = _out_of_reach(connection, table)
        return TableFacts(table, columns, tuple(denied), None, None, refused=refused)
    rows, size, refused = _size(session, table)
    return TableFacts(table, columns, tuple(denied), rows, size, doubts, refused)


def _out_of_reach(connection: Connection, table: CatalogueTable) -> str:
    """What keeps a table of another server from being read; empty where nothing does.

    While that one is silent, older servers can't be made to give up: so by a session of its own.
    """
    quoted = quote_qualified(table.schema, table.name)
    try:
        ask(connection, f"select from {quoted} limit 1", [], within=_SECONDS)
    except NoAnswer:
        return f"its server can't be reached, or gave no answer in {_SECONDS} s"
    except PgError as error:
        return _refusal(table, error)
    return ""


def _size(session: PgConnection, table: CatalogueTable) -> tuple[int | None, int | None, str]:
    """Rows and bytes as far as they can be had, and what the server said if it can't be read."""
    rows: int | None = None
    size: int | None = None
    only = bool(table.heirs)
    try:
        rows, size = _asked(session, lambda: estimated_size(session, table, only=only))
        if size <= _SMALL_ENOUGH_TO_COUNT:
            rows = _asked(session, lambda: count_rows(session, table, only=only))
    except _BUSY:
        pass
    except PgError as error:
        return rows, size, _refusal(table, error)
    return rows, size, ""


def _asked(session: PgConnection, question: Callable[[], T]) -> T:
    """The answer; afterwards the transaction is as before, without locks, whatever came of it."""
    with session.cursor() as cursor:
        cursor.execute("savepoint question")
        try:
            return question()
        finally:
            if not session.closed:
                cursor.execute("rollback to savepoint question")


def _refusal(table: CatalogueTable, error: PgError) -> str:
    """The server's own sentence; a connection that was lost is no matter of one table."""
    if error.pgcode is None:
        raise error
    # Of a foreign table it is the other server that says so.
    if isinstance(error, errors.UndefinedTable) and table.kind != "foreign table":
        return "it was dropped meanwhile"
    if isinstance(error, _BUSY):
        return "another session keeps it locked"
    return " ".join((error.diag.message_primary or type(error).__name__).split())
