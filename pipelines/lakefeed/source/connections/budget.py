"""The sessions that all runs together may have on a source: `max_connections`.

Each session is a slot: one of as many advisory locks in the source's database. The session that
keeps a run's snapshot holds those of its run, so that taking one is a single step on the server,
however many runs on however many machines want it, and a run that dies gives its slots back.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import TypeVar

from psycopg2 import Error as PgError
from psycopg2.extensions import TRANSACTION_STATUS_INERROR
from psycopg2.extensions import connection as PgConnection

from lakefeed.errors import LakefeedError, Refused, SourceUnreachable
from lakefeed.interruption import raise_if_interrupted
from lakefeed.source.connections.origin import origin_of

_R = TypeVar("_R")

# How long a run without a session waits for other runs.
WAIT_SECONDS = 1800.0
# Between two tries, when the run has no session: longer each time, and never the same for two runs.
_SHORTEST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0

# The upper half of the locks' numbers: `slot` in ASCII. The lower half is the slot.
_SLOTS = int.from_bytes(b"slot")
# A slot that the session has already could be locked once more. `kind` is `xact_` for a lock that
# ends with the transaction.
_TAKE = """
select slot from generate_series(1, %s) as slot
where case when slot = any(%s::int[]) then false
    else pg_try_advisory_{kind}lock(({slots}::bigint << 32) + slot) end
limit %s
"""
_GIVE_BACK = (
    f"select pg_advisory_unlock(({_SLOTS}::bigint << 32) + slot) from unnest(%s::int[]) as slot"
)
_HOLDERS = f"""
select pg_stat_clear_snapshot();
select activity.pid, count(*), host(client_addr), client_port, xact_start
from pg_locks as locks join pg_stat_activity as activity using (pid)
where locks.locktype = 'advisory' and locks.granted and locks.objsubid = 1
    and locks.classid = {_SLOTS}
    and locks.database = (select oid from pg_database where datname = current_database())
group by 1, 3, 4, 5 order by xact_start, pid
"""


class NoRoom(LakefeedError):
    """Other runs have all sessions that `max_connections` allows; the message names them."""


class Budget:
    """The slots of one run.

    Args:
        session: the one that keeps the run's snapshot; it takes the slots, in its transaction.
        most: how many sessions all runs may have.
    """

    def __init__(self, session: PgConnection, most: int) -> None:
        self.most = most
        self._session = session
        # Of the session itself and of one that reads: no two runs that have one session each may
        # wait for each other. They are given back by the end of the transaction.
        self._own: list[int] = []
        # Of further sessions that read.
        self._further: list[int] = []
        self._reading = 0
        self._changing = Lock()

    def admit(self) -> None:
        """Takes the slots of the session itself and of one that reads.

        Raises:
            NoRoom: other runs have too many.
        """
        wanted = min(2, self.most)
        self._own = self._try(wanted, "xact_")
        if len(self._own) < wanted:
            raise NoRoom(f"other runs have the sessions that `max_connections` allows: {self}")

    def take(self) -> bool:
        """Takes a slot for one more session; whether there was one."""
        with self._changing:
            if self._reading:
                found = self._try(1)
                if not found:
                    return False
                self._further += found
            self._reading += 1
            return True

    def give_back(self) -> None:
        """Gives back the slot of a session that is closed."""
        with self._changing:
            self._reading -= 1
            if self._further:
                self._unlock([self._further.pop()])

    def release(self) -> None:
        """Gives back all slots that don't end with the transaction: a pooler's session goes on."""
        with self._changing:
            self._unlock(self._further)
            self._further = []

    def __str__(self) -> str:
        """How many sessions there may be, and who has them."""
        with suppress(PgError, SourceUnreachable), self._session.cursor() as cursor:
            cursor.execute(_HOLDERS)
            holders = [_shown(*row) for row in cursor.fetchall()]
            return "; ".join([f"{self.most} in all", *holders])
        return f"{self.most} in all"

    def _try(self, count: int, kind: str = "") -> list[int]:
        mine = [*self._own, *self._further]
        with self._session.cursor() as cursor:
            cursor.execute(_TAKE.format(kind=kind, slots=_SLOTS), [self.most, mine, count])
            return [slot for (slot,) in cursor.fetchall()]

    def _unlock(self, slots: list[int]) -> None:
        # After an error nothing is answered before the end of the transaction, with which a pooler
        # gives the session to others: both go in one message.
        has_failed = self._session.info.transaction_status == TRANSACTION_STATUS_INERROR
        # A session that has ended has no locks.
        with suppress(PgError, SourceUnreachable), self._session.cursor() as cursor:
            cursor.execute(f"rollback; {_GIVE_BACK}" if has_failed else _GIVE_BACK, [slots])


def once_there_is_room(open_one: Callable[[], _R], say: Callable[[str], None]) -> _R:
    """What a function returns, which is called again while it finds no room: up to half an hour.

    Args:
        open_one: raises NoRoom, and leaves no session open then.
        say: called with a message once, if it has to wait.

    Raises:
        Refused: other runs have had all sessions all the time.
    """
    until, pause, has_said = time.monotonic() + WAIT_SECONDS, _SHORTEST_PAUSE_SECONDS, False
    while True:
        raise_if_interrupted()
        try:
            return open_one()
        except NoRoom as error:
            if time.monotonic() >= until:
                raise Refused(
                    error.what,
                    do="run again once they have ended, raise `max_connections`, or see which "
                    "tables they load and end one: lakefeed unlock TABLE",
                ) from None
            if not has_said:
                say(f"had to wait: {error.what}")
                has_said = True
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(_LONGEST_PAUSE_SECONDS, pause * 1.5)


def _shown(
    pid: int, slots: int, host: str | None, port: int | None, since: dt.datetime | None
) -> str:
    if since is None:
        return f"{slots} of the run of session {pid}"
    return f"{slots} of the run of session {pid}, {origin_of(host, port, since)}"
