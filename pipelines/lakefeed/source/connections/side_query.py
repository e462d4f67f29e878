"""A question to the server by a session of its own, which has an answer in time or none."""

from __future__ import annotations

import re
from contextlib import closing
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

import psycopg2

from lakefeed.source.connections.keepalive import Line

if TYPE_CHECKING:
    from lakefeed.source.connections.connection import Connection

# What libpq says where no server said anything. Its messages have no translations in psycopg2.
_NOBODY = re.compile(
    r"timeout expired|timed out|refused|No route|unreachable|could not translate|reset by peer|"
    r"closed the connection unexpectedly|SYSCALL error|could not (?:send|receive)"
)


class NoAnswer(Exception):
    """The server can't be reached, or says nothing."""


def ask(
    connection: Connection, sql: str, parameters: list[Any], *, within: float
) -> list[tuple[Any, ...]]:
    """The rows of a query.

    Args:
        within: seconds until it counts as unanswered.

    Raises:
        NoAnswer: there was none in time.
        psycopg2.Error: the server answers, but not this: it has no session left, for example.
    """
    line, answers = Line(connection, "lakefeed question"), SimpleQueue[Any]()
    # In a thread, since libpq may look for the host's address for longer than any time-out.
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
            # A role may be set to become another, which has no say over its own sessions.
            # Without parameters a `%` in a name is none of psycopg2's.
            cursor.execute(f"set local role none; {sql}", parameters or None)
            answers.put(cursor.fetchall())
            session.rollback()
    except psycopg2.Error as error:
        answers.put(error)
