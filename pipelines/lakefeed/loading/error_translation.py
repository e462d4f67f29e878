"""A failure of dlt, DuckDB or the server in the words of this project, without secrets."""

from __future__ import annotations

import re

import psycopg2

from lakefeed.declaration.tables import Table
from lakefeed.disk import storage_error
from lakefeed.errors import LakefeedError, TableFailed
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.failure import is_of_connecting, is_of_losing
from lakefeed.sql import sql_name

# The server's own sentence within what DuckDB's scanner wraps around it, our query among it.
_SERVER_SAID = re.compile(
    r"\b(?:ERROR|FATAL):\s+(.+?)(?=$|\n|\s+(?:CONTEXT|HINT|LINE \d+):)", re.DOTALL
)
# A server of another language names the severity in that, and libpq puts two blanks behind it.
_SERVER_SAID_ELSEWHERE = re.compile(r"(?:^|\s)[^\W\d_]+:  (.+?)(?=$|\n)")

_REMEDIES = (
    ("query_wait_timeout", "a run needs two sessions: raise the pooler's `default_pool_size`"),
    (
        "permission denied for schema",
        "grant usage on schema {schema} to the role in the connection URL",
    ),
    (
        "permission denied for function",
        "grant execute on that function to the role in the connection URL",
    ),
    (
        "permission denied for foreign server",
        "grant usage on that server to the role in the connection URL",
    ),
    ("permission denied", "grant select on {table} to the role in the connection URL"),
    ("row-level security", "a row policy would hide rows: use a role with bypassrls"),
    ("holds NaN", "correct the value, or leave the column out (`columns: {{exclude: […]}}`)"),
    (
        "holds a timestamp",
        "correct the value, or leave the column out (`columns: {{exclude: […]}}`)",
    ),
    (
        "lock timeout",
        "another session holds a lock on {table}: run again when it is done; nothing was committed",
    ),
    (
        "statement timeout",
        "raise `max_query_time`, or index the cursor so that the read is shorter",
    ),
    ("does not exist", "compare the names in sources.yaml with the database"),
    ("syntax error", "correct the condition in `where`"),
    ("connection", "run again: nothing of this table was committed, and nothing was lost"),
)


def explain_failure(table: Table, connection: Connection, error: BaseException) -> LakefeedError:
    """The root cause in one line, the line of YAML, and what to do."""
    root = root_of(error)
    if isinstance(root, LakefeedError):
        return root
    if refused := storage_error(root):
        place = f"{refused.where}: " if refused.where else ""
        return TableFailed(
            f"{table.shown}: {place}{refused.what}", where=table.where, do=refused.do
        )
    if is_of_connecting(str(root)):
        return connection.failure(str(root))
    reason = _reason(root)
    remedy = next((text for sign, text in _REMEDIES if sign in reason), "")
    if not remedy:
        remedy = f"nothing of this table was committed ({type(root).__name__}); run again"
    return TableFailed(
        f"{table.shown}: {reason}",
        where=table.where,
        do=remedy.format(table=sql_name(table.schema, table.name), schema=sql_name(table.schema)),
    )


def root_of(error: BaseException) -> BaseException:
    """What failed first, within all that was raised because of it."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def said_by_server(error: BaseException) -> str:
    """The server's own sentence about a statement; empty where it said none."""
    if isinstance(error, psycopg2.Error) and error.diag.message_primary:
        return " ".join(error.diag.message_primary.split())
    text = str(error)
    said = _SERVER_SAID.findall(text) or _SERVER_SAID_ELSEWHERE.findall(text)[:1]
    return " ".join(said[-1].split()) if said else ""


def _reason(error: BaseException) -> str:
    """The server's own sentence about a statement; DuckDB's, or the system's, where it said none.

    Never what the client library says: it goes by the connection, and repeats parts of it.
    """
    if said := said_by_server(error):
        return said
    text = str(error) or type(error).__name__
    if is_of_losing(text) or isinstance(error, psycopg2.Error):
        return "the connection was lost"
    return " ".join(text.split())
