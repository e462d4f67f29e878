"""Asks the server how many rows and bytes the sessions of a run have sent.

PostgreSQL counts them since version 14
(https://www.postgresql.org/docs/current/progress-reporting.html#COPY-PROGRESS-REPORTING). DuckDB's
scanner reads by COPY; what psycopg2 reads, and the log, this process counts itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg2

from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.side_query import NoAnswer, ask

_WITHIN_SECONDS = 5.0
# Servers before this version don't count them.
COUNTS_SINCE = 140_000

_COPIES = """
select activity.application_name, ours.objid::bigint, progress.tuples_processed,
    progress.bytes_processed
from pg_stat_progress_copy as progress
join pg_locks as ours using (pid)
join pg_stat_activity as activity using (pid)
where ours.locktype = 'advisory' and ours.granted and ours.objsubid = 2 and ours.classid = %s
    and ours.database = (select oid from pg_database where datname = current_database())
"""


@dataclass(frozen=True)
class Sent:
    """What a session has sent in its current statement, or of the log: rows and bytes.

    `size` is 0 if nobody counts the bytes.
    """

    rows: int
    size: int


def sent_by_sessions(connection: Connection) -> Mapping[tuple[str, int], Sent] | None:
    """What the sessions of this run have sent, by application name and number of the session.

    None if the server doesn't tell.
    """
    try:
        rows = ask(connection, _COPIES, [connection.run], within=_WITHIN_SECONDS)
    except (NoAnswer, psycopg2.Error):
        return None
    return {(name, number): Sent(sent, size) for name, number, sent, size in rows}


@dataclass(frozen=True)
class Expected:
    """What the planner expects of a query: how many rows, and the bytes of one in memory."""

    rows: int
    row_size: int


def expected_of(connection: Connection, query: str) -> Expected | None:
    """What the planner expects of a query. Reads none of its rows; None if it can't tell."""
    try:
        found = ask(connection, f"explain (format json) {query}", [], within=_WITHIN_SECONDS)
    except (NoAnswer, psycopg2.Error):
        return None
    plan = found[0][0]
    top = json.loads(plan) if isinstance(plan, str) else plan
    return Expected(int(top[0]["Plan"]["Plan Rows"]), int(top[0]["Plan"]["Plan Width"]))
