"""Translates failures of dlt, DuckDB and PostgreSQL into errors with a remedy and no secrets."""

from __future__ import annotations

import re

import psycopg2

from lakefeed.declaration.table import Table
from lakefeed.disk import storage_error
from lakefeed.errors import LakefeedError, TableFailed
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.failure import is_of_connecting, is_of_losing
from lakefeed.source.protection import without_keys
from lakefeed.sql import sql_name

# The server's message, without the query that DuckDB's scanner quotes around it.
_SERVER_MESSAGE = re.compile(
    r"\b(?:ERROR|FATAL):\s+(.+?)(?=$|\n|\s+(?:CONTEXT|HINT|LINE \d+):)", re.DOTALL
)
# Servers with another `lc_messages` translate the severity; libpq puts two spaces after it.
_TRANSLATED_SERVER_MESSAGE = re.compile(r"(?:^|\s)[^\W\d_]+:  (.+?)(?=$|\n)")

# A value that the query refuses by casting the reason to another type.
_REFUSED_VALUE = re.compile(r'"(column .+ holds .+)"')

_REMEDIES = (
    (
        "query_wait_timeout",
        "raise the pooler's `default_pool_size`: a run needs at least two sessions",
    ),
    (
        "permission denied for schema",
        "grant usage on schema {schema} to the role in the connection URL",
    ),
    (
        "permission denied for function",
        "grant execute on this function to the role in the connection URL",
    ),
    (
        "permission denied for foreign server",
        "grant usage on this server to the role in the connection URL",
    ),
    ("permission denied", "grant select on {table} to the role in the connection URL"),
    (
        "row-level security",
        "use a role with the bypassrls attribute: a row-level security policy would hide rows",
    ),
    ("holds NaN", "fix the value, or exclude the column (`columns: {{exclude: […]}}`)"),
    ("holds a timestamp", "fix the value, or exclude the column (`columns: {{exclude: […]}}`)"),
    (
        "holds a value that isn't exact",
        "fix the value, or declare another `type` (or none)",
    ),
    (
        "lock timeout",
        "another session holds a lock on {table}: run again once it is released; nothing was "
        "committed",
    ),
    ("statement timeout", "raise `max_query_time`, or index the cursor to shorten the read"),
    ("does not exist", "compare the names in sources.yaml with the database"),
    ("syntax error", "fix the condition in `where`"),
    ("connection", "run again: nothing was committed for this table, and no data was lost"),
)


def explain_failure(table: Table, connection: Connection, error: BaseException) -> LakefeedError:
    """The error to show for a failed table: the root cause, its line of YAML and the remedy."""
    root = root_of(error)
    if isinstance(root, LakefeedError):
        return root
    if storage := storage_error(root):
        place = f"{storage.where}: " if storage.where else ""
        return TableFailed(
            f"{table.shown}: {place}{storage.what}", where=table.where, do=storage.do
        )
    if is_of_connecting(str(root)):
        return connection.failure(str(root))
    reason = without_keys(_reason(root)) if table.secrets else _reason(root)
    remedy = next((text for pattern, text in _REMEDIES if pattern in reason), "")
    if not remedy:
        remedy = f"run again; nothing was committed for this table ({type(root).__name__})"
    return TableFailed(
        f"{table.shown}: {reason}",
        where=table.where,
        do=remedy.format(table=sql_name(table.schema, table.name), schema=sql_name(table.schema)),
    )


def root_of(error: BaseException) -> BaseException:
    """The first error in the chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def server_message(error: BaseException) -> str:
    """PostgreSQL's primary message about a statement; empty if the error has none."""
    if isinstance(error, psycopg2.Error) and error.diag.message_primary:
        return " ".join(error.diag.message_primary.split())
    text = str(error)
    messages = _SERVER_MESSAGE.findall(text) or _TRANSLATED_SERVER_MESSAGE.findall(text)[:1]
    return " ".join(messages[-1].split()) if messages else ""


def _reason(error: BaseException) -> str:
    """PostgreSQL's message; without one, the message of DuckDB or the operating system.

    Never libpq's own message: it may quote parts of the connection string.
    """
    message = server_message(error)
    if refused := _REFUSED_VALUE.search(message or str(error)):
        return refused[1]
    if message:
        return message
    text = str(error) or type(error).__name__
    if is_of_losing(text) or isinstance(error, psycopg2.Error):
        return "the connection was lost"
    return " ".join(text.split())
