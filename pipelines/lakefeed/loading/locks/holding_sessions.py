"""The sessions of the run that holds an advisory lock, and their end."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass

from psycopg2 import Error as PgError
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import connection as PgConnection

from lakefeed.errors import Refused
from lakefeed.source.connections.origin import origin_of

# The sessions that hold a lock, each with the number of its run; `%s` are the lock's halves.
HELD = """
    select locks.pid, run.classid as run, locks.database
    from pg_locks as locks
    left join pg_locks as run on
        run.pid = locks.pid and run.database = locks.database and run.locktype = 'advisory'
        and run.objsubid = 2
    where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 1
        and locks.classid = %s and locks.objid = %s
        and locks.database = (select oid from pg_database where datname = current_database())
"""
# Each session of a run holds the lock of its number.
_PIDS = f"""
    select pid, true as holds from ({HELD}) as held
    union
    select locks.pid, false from ({HELD}) as held join pg_locks as locks on
        locks.locktype = 'advisory' and locks.granted and locks.objsubid = 2
        and locks.classid = held.run and locks.database = held.database and locks.pid <> held.pid
"""
_SESSIONS = f"""
select distinct on (not of_run.holds, of_run.pid)
    of_run.pid, usename::text, application_name, host(client_addr), client_port, xact_start, state
from ({_PIDS}) as of_run left join pg_stat_activity as activity on activity.pid = of_run.pid
order by not of_run.holds, of_run.pid
"""
# `set local role none`, because a role set on login may not be allowed to end sessions of the login
# role. The sessions are found by their lock once more: a pid may belong to another one by now.
_END = f"""
savepoint ending;
set local role none;
select pg_terminate_backend(pid) from (select distinct pid from ({_PIDS}) as of_run) as found;
rollback to savepoint ending
"""
_ROLES = "select session_user::text, bool_or(rolsuper) from pg_roles where rolname = any(%s)"
# A terminated session rolls back before it releases its locks.
_FREE_AFTER_SECONDS = 10.0


@dataclass(frozen=True)
class RunSession:
    """A session of the run that holds a lock. `state` is PostgreSQL's, such as `active`.

    `host`, `port`, `since` and `state` are None if the role may not see other roles' sessions.
    """

    pid: int
    user: str | None
    application: str | None
    host: str | None
    port: int | None
    since: dt.datetime | None
    state: str | None

    def __str__(self) -> str:
        named = f"session {self.pid} (`{self.application}`) of the role {self.user}"
        if self.since is None:
            hidden = "this role needs pg_read_all_stats to see its origin and start"
            return f"{named} ({hidden})"
        return f"{named}, {origin_of(self.host, self.port, self.since)}: {self.state}"

    @property
    def statement(self) -> str:
        """The SQL statement that ends the session."""
        return f"select pg_terminate_backend({self.pid})"


def sessions_holding(session: PgConnection, number: int) -> tuple[RunSession, ...]:
    """The session that holds this advisory lock, then others of its run; empty if nobody does."""
    with session.cursor() as cursor:
        cursor.execute(_SESSIONS, halves_of(number) * 2)
        return tuple(RunSession(*row) for row in cursor.fetchall())


def end_sessions_holding(
    session: PgConnection, number: int, held_by: tuple[RunSession, ...]
) -> bool:
    """Ends the sessions of the run that holds this advisory lock; whether it is free now.

    Raises:
        Refused: the role may not end them.
    """
    try:
        with session.cursor() as cursor:
            cursor.execute(_END, halves_of(number) * 2)
    except InsufficientPrivilege:
        session.rollback()
        raise _refusal(session, held_by) from None
    limit = time.monotonic() + _FREE_AFTER_SECONDS
    while is_held := _is_held(session, number):
        if time.monotonic() > limit:
            break
        time.sleep(0.1)
    return not is_held


def _is_held(session: PgConnection, number: int) -> bool:
    with session.cursor() as cursor:
        cursor.execute(f"select exists ({HELD})", halves_of(number))
        row = cursor.fetchone()
    return bool(row and row[0])


def _refusal(session: PgConnection, held_by: tuple[RunSession, ...]) -> Refused:
    users = sorted({found.user for found in held_by if found.user})
    me, is_superuser = "this role", False
    try:
        with session.cursor() as cursor:
            cursor.execute(_ROLES, [users])
            row = cursor.fetchone()
        me, is_superuser = row or (me, False)
    except PgError:
        # The message is true without the names as well.
        session.rollback()
    grant = f'grant pg_signal_backend to "{me}"'
    return Refused(
        f"the role `{me}` may not end sessions of {', '.join(f'`{user}`' for user in users)}",
        do="a superuser's sessions can only be ended by a superuser: "
        + "; ".join(found.statement for found in held_by)
        if is_superuser
        else f"grant it the right to, then run it again: {grant}",
    )


def halves_of(number: int) -> list[int]:
    """The lock's number as `pg_locks` shows it: its upper and its lower 32 bits."""
    unsigned = number % 2**64
    return [unsigned >> 32, unsigned % 2**32]
