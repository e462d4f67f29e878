"""Finds the session that holds a table's advisory lock in the source, for the error message."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass

import psycopg2

from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.side_query import NoAnswer, ask

_ANSWER_SECONDS = 10.0
_HOLDER = """
select
    locks.pid, run.classid::bigint, host(activity.client_addr), activity.client_port,
    activity.xact_start
from pg_locks as locks
left join pg_locks as run on
    run.pid = locks.pid and run.database = locks.database and run.locktype = 'advisory'
    and run.objsubid = 2
left join pg_stat_activity as activity on activity.pid = locks.pid
where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 1
    and locks.classid = %s and locks.objid = %s
    and locks.database = (select oid from pg_database where datname = current_database())
"""


@dataclass(frozen=True)
class Session:
    """A session of the source that holds a lock. `run` is the number of its run, if known.

    `host`, `port` and `since` are None if the role may not see other roles' sessions.
    """

    pid: int
    run: int | None
    host: str | None
    port: int | None
    since: dt.datetime | None

    def __str__(self) -> str:
        if self.since is None:
            hidden = "this role needs pg_read_all_stats to see its origin and start"
            return f"session {self.pid} in the source ({hidden})"
        origin = f"{self.host}:{self.port}" if self.host else "a local socket"
        since = f"{self.since.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"session {self.pid} in the source, from {origin}, since {since}"

    @property
    def statement(self) -> str:
        """The SQL statement that ends the session."""
        return f"select pg_terminate_backend({self.pid})"


def holder_in_source(connection: Connection, number: int) -> Session | None:
    """The session that holds this advisory lock; None if there is none or it can't be found."""
    unsigned = number % 2**64
    parameters = [unsigned >> 32, unsigned % 2**32]
    with suppress(NoAnswer, psycopg2.Error):
        for row in ask(connection, _HOLDER, parameters, within=_ANSWER_SECONDS):
            return Session(*row)
    return None
