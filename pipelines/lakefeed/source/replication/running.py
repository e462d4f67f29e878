"""Runs statements that write to a source: only `lakefeed cdc --apply` does."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg2

from lakefeed.errors import LakefeedError, Refused
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.sessions import open_session, refusal

# A slot waits for the transactions that are open when it is created. The watchdog ends sessions
# that are silent for longer.
_MOST_SECONDS = 50
_LOCK_NOT_AVAILABLE = "55P03"
_CANCELLED = "57014"


def run_statements(connection: Connection, statements: Sequence[str]) -> None:
    """Runs these statements in order, which may begin and end transactions. Those that were
    committed before one that fails stay.

    Raises:
        SourceUnreachable: the connection couldn't be opened, or was lost.
        Refused: other transactions were in the way for too long.
        LakefeedError: the server refused a statement.
    """
    session = open_session(connection, "lakefeed cdc")
    try:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(f"set statement_timeout = '{_MOST_SECONDS}s'")
            for statement in statements:
                cursor.execute(statement)
    except psycopg2.Error as error:
        raise _failure(connection, error) from None
    finally:
        session.close()


def _failure(connection: Connection, error: psycopg2.Error) -> LakefeedError:
    if error.pgcode == _LOCK_NOT_AVAILABLE:
        return Refused(
            "another session has been writing to a table for longer than it may be locked",
            do="run this again once its transaction has ended; nothing was published",
        )
    if error.pgcode == _CANCELLED:
        return Refused(
            f"the server took longer than {_MOST_SECONDS} s: a slot waits for all transactions "
            "that are open when it is created",
            do="run this again once they have ended; the slot wasn't created",
        )
    return refusal(connection, error)
