"""Who has a lock of ours in the source, for whoever is refused because of it."""

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
    held.pid, run.classid::bigint, host(activity.client_addr), activity.client_port,
    activity.xact_start
from pg_locks as held
left join pg_locks as run on
    run.pid = held.pid and run.database = held.database and run.locktype = 'advisory'
    and run.objsubid = 2
left join pg_stat_activity as activity on activity.pid = held.pid
where held.locktype = 'advisory' and held.granted and held.objsubid = 1
    and held.classid = %s and held.objid = %s
    and held.database = (select oid from pg_database where datname = current_database())
"""


@dataclass(frozen=True)
class Session:
    """A session of the source that has a lock there. `run` is its number, where it has one.

    A role that may not see other roles' sessions sees neither where they come from nor since when.
    """

    pid: int
    run: int | None
    host: str | None
    port: int | None
    since: dt.datetime | None

    def __str__(self) -> str:
        if self.since is None:
            hidden = "from where and since when, this role may not see without pg_read_all_stats"
            return f"session {self.pid} of the source; {hidden}"
        origin = f"{self.host}:{self.port}" if self.host else "a socket of its own machine"
        since = f"{self.since.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
        return f"session {self.pid} of the source, from {origin}, since {since}"

    @property
    def statement(self) -> str:
        """What ends it, in the source."""
        return f"select pg_terminate_backend({self.pid})"


def holder_in_source(connection: Connection, number: int) -> Session | None:
    """The session that has this advisory lock; None where none has it, or the source won't say."""
    unsigned = number % 2**64
    parameters = [unsigned >> 32, unsigned % 2**32]
    with suppress(NoAnswer, psycopg2.Error):
        for row in ask(connection, _HOLDER, parameters, within=_ANSWER_SECONDS):
            return Session(*row)
    return None
