"""A source that gives no more sessions: which limit that is, and how long a run waits for one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition
from typing import TypeVar

from psycopg2 import Error as PgError
from psycopg2.extensions import connection as PgConnection

from lakefeed.errors import SourceUnreachable
from lakefeed.interruption import raise_if_interrupted
from lakefeed.source.connections.failure import NoSessionLeft, Unexplained

_S = TypeVar("_S")

# How long a run without a session to read by waits for one.
WAIT_SECONDS = 60
_TRY_AGAIN_SECONDS = 1.0
# While others of its own are at work. Each try is a line in the server's log.
_LOOK_AGAIN_SECONDS = 10.0

_NEEDED = "a run needs two: one holds the snapshot, one reads. End other sessions, or: "

# What pg_stat_activity shows stays the same until a transaction ends, or is told to look again.
_COUNTS = """
select pg_stat_clear_snapshot();
with sessions as (
    select usename, datname from pg_stat_activity where backend_type = 'client backend'
)
select
    session_user::text, role.rolsuper, role.rolconnlimit,
    (select count(*) from sessions where usename = session_user),
    current_database()::text, base.datconnlimit,
    (select count(*) from sessions where datname = current_database()),
    current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
    (select count(*) from sessions)
from pg_roles as role, pg_database as base
where role.rolname = session_user and base.datname = current_database()
"""


@dataclass(frozen=True)
class Limit:
    """A limit on sessions: who has it, how many it allows, and how it is raised."""

    of: str
    most: int
    do: str

    def __str__(self) -> str:
        return f"{self.of} may have {self.most} sessions at a time"


def limit_reached(session: PgConnection) -> Limit | None:
    """Which limit keeps a role like this session's from having another one; None where none does.

    None as well where the session can't be asked: it is at work, or gone.
    """
    try:
        with session.cursor() as cursor:
            cursor.execute(_COUNTS)
            row = cursor.fetchone()
    except PgError:
        return None
    assert row is not None
    role, is_superuser, role_most, of_role, database, most, of_database, of_all, every = row
    if 0 <= role_most <= of_role and not is_superuser:
        return Limit(f"the role `{role}`", role_most, f'alter role "{role}" connection limit …')
    if 0 <= most <= of_database and not is_superuser:
        do = f'alter database "{database}" connection limit …'
        return Limit(f"the database `{database}`", most, do)
    if of_all <= every:
        return Limit("roles that aren't superusers", of_all, "raise the server's `max_connections`")
    return None


class Allowance:
    """The sessions that a source gives a run, which may be fewer than it asks for.

    Args:
        say: hears in a sentence that the run goes on with fewer sessions, or waits for one.
        holder: a session that can be asked for the limit; None where there is none yet.
    """

    def __init__(self, say: Callable[[str], None], holder: PgConnection | None = None) -> None:
        self._say = say
        self._holder = holder
        # Those that are being opened count as open: one of them may get the last session.
        self._open = self._ended = 0
        self._changed = Condition()

    def one_more(self, open_one: Callable[[], _S], *, waits: bool = True) -> _S:
        """Another session, as soon as there is one; `end` is to be called when it is closed.

        Args:
            waits: until another one of this run ends, however long that takes; where there is no
                other, for `WAIT_SECONDS`.

        Raises:
            NoSessionLeft: a limit is reached.
            SourceUnreachable: there is no connection for another reason.
        """
        until: float | None = None
        while True:
            raise_if_interrupted()
            ended = self._ended
            self._count(opened=1)
            try:
                return open_one()
            except SourceUnreachable as error:
                self._count(opened=-1)
                refused = self._by_limit(error)
            except BaseException:
                self._count(opened=-1)
                raise
            if not waits:
                raise refused
            until = self._wait(refused, ended, until)

    def end(self) -> None:
        """Lets whoever waits for a session try again."""
        self._count(opened=-1, ended=1)

    def _count(self, *, opened: int, ended: int = 0) -> None:
        with self._changed:
            self._open += opened
            self._ended += ended
            self._changed.notify_all()

    def _by_limit(self, error: SourceUnreachable) -> NoSessionLeft:
        """The error with the limit in it, where it can be known; raised where it is another one."""
        may_be = isinstance(error, NoSessionLeft | Unexplained)
        limit = limit_reached(self._holder) if self._holder and may_be else None
        if limit:
            return NoSessionLeft(f"{limit}, and all are in use", do=f"{_NEEDED}{limit.do}")
        if isinstance(error, NoSessionLeft):
            return error
        raise error

    def _wait(self, refused: NoSessionLeft, ended: int, until: float | None) -> float | None:
        """Returns when it is worth trying again, and until when that is."""
        with self._changed:
            if self._open:
                self._say(f"{refused.what}: fewer tables are read at the same time")
                self._changed.wait_for(
                    lambda: self._ended != ended or not self._open, _LOOK_AGAIN_SECONDS
                )
            if self._open or self._ended != ended:
                return until if self._ended == ended else None
        if until is None:
            self._say(f"had to wait for a session: {refused.what}")
            until = time.monotonic() + WAIT_SECONDS
        if time.monotonic() >= until:
            raise refused
        time.sleep(_TRY_AGAIN_SECONDS)
        return until
