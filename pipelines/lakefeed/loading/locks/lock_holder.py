"""Finds the session that holds a table's advisory lock in the source, for the error message."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress
from dataclasses import dataclass

import psycopg2

from lakefeed.loading.locks.holding_sessions import HELD, halves_of
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.origin import origin_of
from lakefeed.source.connections.side_query import NoAnswer, ask

_ANSWER_SECONDS = 10.0
_HOLDER = f"""
select held.pid, run::bigint, host(client_addr), client_port, xact_start
from ({HELD}) as held left join pg_stat_activity as activity on activity.pid = held.pid
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
        return f"session {self.pid} in the source, {origin_of(self.host, self.port, self.since)}"

    @property
    def statement(self) -> str:
        """The SQL statement that ends the session."""
        return f"select pg_terminate_backend({self.pid})"


def holder_in_source(connection: Connection, number: int) -> Session | None:
    """The session that holds this advisory lock; None if there is none or it can't be found."""
    with suppress(NoAnswer, psycopg2.Error):
        for row in ask(connection, _HOLDER, halves_of(number), within=_ANSWER_SECONDS):
            return Session(*row)
    return None
