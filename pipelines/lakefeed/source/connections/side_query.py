"""Runs a query through a new session, with a timeout that always holds."""

from __future__ import annotations

import re
from contextlib import closing
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import psycopg2

from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.keepalive import Line

# Messages of libpq without any answer from a server. psycopg2's libpq has no translations.
_NOBODY = re.compile(
    r"timeout expired|timed out|refused|No route|unreachable|could not translate|reset by peer|"
    r"closed the connection unexpectedly|SYSCALL error|could not (?:send|receive)"
)


class NoAnswer(Exception):
    """The server can't be reached, or didn't answer in time."""


def ask(
    connection: Connection, sql: str, parameters: list[Any], *, within: float
) -> list[tuple[Any, ...]]:
    """Runs a query and returns its rows.

    Args:
        within: timeout in seconds.

    Raises:
        NoAnswer: the server didn't answer in time.
        psycopg2.Error: the server answered with an error, such as a connection limit.
    """
    line, answers = Line(connection, "lakefeed question"), SimpleQueue[Any]()
    # In a thread, since libpq's `connect_timeout` doesn't bound the lookup of the host name.
    Thread(target=_put_answer, args=(line, sql, parameters, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=within)
    except Empty:
        raise NoAnswer from None
    finally:
        line.cut()
        line.close()
    if not isinstance(answer, psycopg2.Error):
        return list(answer)
    if _NOBODY.search(str(answer)) and "FATAL" not in str(answer):
        raise NoAnswer
    raise answer


def _put_answer(line: Line, sql: str, parameters: list[Any], answers: SimpleQueue[Any]) -> None:
    try:
        with closing(psycopg2.connect(line.dsn)) as session, session.cursor() as cursor:
            # If the login role has `role` set to another one by default, that one may not see or
            # cancel the login role's sessions.
            # psycopg2 leaves a `%` in the SQL alone only if it gets no parameters.
            cursor.execute(f"set local role none; {sql}", parameters or None)
            answers.put(cursor.fetchall())
            session.rollback()
    except psycopg2.Error as error:
        answers.put(error)
