"""Opens sessions within the source's connection limits, and waits while they are reached."""

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
from lakefeed.source.connections.failure import BudgetSpent, NoSessionLeft, Unexplained
from lakefeed.source.connections.watched_session import WatchedSession

_S = TypeVar("_S")

# How long a run that has no session to read with waits for one.
WAIT_SECONDS = 60
_RETRY_SECONDS = 1.0
# Longer while sessions of the same run are reading, since each refused attempt is logged by the
# server.
_RETRY_WHILE_READING_SECONDS = 10.0

_NEEDED = "a run needs two: one holds the snapshot, one reads. End other sessions, or: "

# Within a transaction, pg_stat_activity is frozen at its first use until it is cleared.
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
    """A limit on sessions: what it applies to, how many it allows, and how to raise it."""

    of: str
    most: int
    do: str

    def __str__(self) -> str:
        return f"{self.of} can have at most {self.most} sessions"


def limit_reached(session: PgConnection) -> Limit | None:
    """The limit that keeps the session's role from opening another session, if any.

    None as well if it can't be determined, because the session is busy or closed.
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
    """Opens a run's sessions on a source, which may allow fewer than the run asks for.

    Args:
        say: called with a message if the run continues with fewer sessions, or waits for one.
        holder: a session through which to find out the limit; None if there is none yet.
        spare: closes sessions that are open and not in use, since a limit is reached.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        holder: WatchedSession | None = None,
        spare: Callable[[], None] = lambda: None,
    ) -> None:
        self._say = say
        self._holder = holder
        self._budget = holder.budget if holder else None
        self._spare = spare
        # Sessions that are being opened count as open, since one of them may get the last slot.
        self._open = self._ended = 0
        self._changed = Condition()

    def one_more(self, open_one: Callable[[], _S], *, waits: bool = True) -> _S:
        """Opens another session as soon as the limits allow. Call `end` when it is closed.

        Args:
            open_one: opens a session.
            waits: wait until another session of this run ends, however long that takes, or, if
                there is no other, for up to `WAIT_SECONDS`.

        Raises:
            NoSessionLeft: a limit is reached.
            SourceUnreachable: the session couldn't be opened for another reason.
        """
        until: float | None = None
        while True:
            raise_if_interrupted()
            ended = self._ended
            self._count(opened=1)
            try:
                return self._opened(open_one)
            except SourceUnreachable as error:
                self._count(opened=-1)
                refused = self._by_limit(error)
            except BaseException:
                self._count(opened=-1)
                raise
            self._spare()
            if not waits:
                raise refused
            until = self._wait(refused, ended, until)

    def end(self) -> None:
        """Records that a session was closed, so that waiting callers try again."""
        if self._budget:
            self._budget.give_back()
        self._count(opened=-1, ended=1)

    def _opened(self, open_one: Callable[[], _S]) -> _S:
        """
        Raises:
            BudgetSpent: all runs together have as many sessions as they may.
            SourceUnreachable: the session couldn't be opened for another reason.
        """
        budget = self._budget
        if budget is None:
            return open_one()
        if not budget.take():
            raise BudgetSpent(
                f"`max_connections` allows {budget.most} sessions, and all are in use"
            )
        try:
            return open_one()
        except BaseException:
            budget.give_back()
            raise

    def _count(self, *, opened: int, ended: int = 0) -> None:
        with self._changed:
            self._open += opened
            self._ended += ended
            self._changed.notify_all()

    def _by_limit(self, error: SourceUnreachable) -> NoSessionLeft:
        """The error with the limit, if it can be determined. Raises an error of another kind."""
        if isinstance(error, BudgetSpent):
            return error
        may_be = isinstance(error, NoSessionLeft | Unexplained)
        limit = limit_reached(self._holder) if self._holder and may_be else None
        if limit:
            return NoSessionLeft(f"{limit}, and all are in use", do=f"{_NEEDED}{limit.do}")
        if isinstance(error, NoSessionLeft):
            return error
        raise error

    def _wait(self, refused: NoSessionLeft, ended: int, until: float | None) -> float | None:
        """Waits until another attempt makes sense; returns the deadline, None if there is none."""
        with self._changed:
            if self._open:
                # That it has no more sessions than declared is no news.
                if not isinstance(refused, BudgetSpent):
                    self._say(f"{refused.what}: fewer tables are read in parallel")
                self._changed.wait_for(
                    lambda: self._ended != ended or not self._open, _RETRY_WHILE_READING_SECONDS
                )
            if self._open or self._ended != ended:
                return until if self._ended == ended else None
        if until is None:
            self._say(f"had to wait for a session: {refused.what}")
            until = time.monotonic() + WAIT_SECONDS
        if time.monotonic() >= until:
            raise refused
        time.sleep(_RETRY_SECONDS)
        return until
