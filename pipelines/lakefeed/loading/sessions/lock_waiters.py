"""Sessions of others that wait for a lock because of a read, and for how long they may."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread

from psycopg2 import Error as PgError
from psycopg2.extensions import connection as PgConnection

from lakefeed.errors import LakefeedError
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.retryable import RetryAtLaterSnapshot

# What pg_stat_activity shows stays the same until a transaction ends, or is told to look again.
_WAITING = """
select pg_stat_clear_snapshot();
select distinct on (pid) pid, activity.application_name, activity.query, waiting.mode
from (select pid, mode from pg_locks where not granted offset 0) as waiting
join pg_stat_activity as activity using (pid)
where pg_blocking_pids(pid) && %s
"""
# In one message, so that nothing of another thread's comes in between. A role may be set to become
# another, which has no say over its sessions.
_END = """
savepoint ending;
set local role none;
select pg_terminate_backend(pid) from unnest(%s) as pid;
rollback to savepoint ending
"""
_OF_TWO_WORDS = ("alter", "create", "drop", "lock", "refresh", "reindex")
_COMMENTS = re.compile(r"^(?:\s|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)
_LOOKS = 4
_LEAST_SECONDS_BETWEEN_LOOKS = 0.1
_MOST_SECONDS_BETWEEN_LOOKS = 1.0


class KeptWaiting(RetryAtLaterSnapshot):
    """A read that was given up, since another session had waited for too long because of it."""

    note = (
        "it had kept another session waiting for longer than `max_lock_wait`, so it was read again "
        "at a later snapshot than the other tables"
    )


@dataclass(frozen=True)
class Waiter:
    """A session that waits: for a lock of this mode, to run this statement."""

    pid: int
    application: str
    query: str
    mode: str

    def __str__(self) -> str:
        named = f" (`{self.application}`)" if self.application else ""
        return f"pid {self.pid}{named} waits for {kind_of_query(self.query) or self.mode}"


class LockWatch:
    """Looks after those who wait for the sessions that read one table.

    Args:
        holder: another session, which is asked who waits.
    """

    def __init__(self, plan: TablePlan, holder: PgConnection) -> None:
        self._plan = plan
        self._holder = holder
        self._pids: set[int] = set()
        self._since: dict[int, float] = {}
        self._ends = Event()
        self._kept_waiting: Waiter | None = None

    @contextmanager
    def after(self, pid: int) -> Iterator[None]:
        """A session of the table's, while it reads."""
        self._pids.add(pid)
        try:
            yield
        finally:
            self._pids.discard(pid)

    @contextmanager
    def while_reading(self, limit: float) -> Iterator[None]:
        """Ends the sessions where somebody waits for them for more than so many seconds.

        Raises:
            KeptWaiting: it did, and what the block did failed by it.
        """
        thread = Thread(target=self._look, args=(limit,), name="lakefeed-waiters", daemon=True)
        thread.start()
        try:
            yield
        except Exception:
            if self._kept_waiting is None:
                raise
            error = self._error(self._kept_waiting)
        else:
            return
        finally:
            self._ends.set()
            thread.join()
        raise error

    def _look(self, limit: float) -> None:
        pause = min(_MOST_SECONDS_BETWEEN_LOOKS, limit / _LOOKS)
        while not self._ends.wait(max(pause, _LEAST_SECONDS_BETWEEN_LOOKS)):
            try:
                waiting = _ask(self._holder, sorted(self._pids))
                late = self._too_late(waiting, time.monotonic() - limit)
                if late:
                    self._kept_waiting = self._kept_waiting or late
                    with self._holder.cursor() as cursor:
                        cursor.execute(_END, [sorted(self._pids)])
            except (PgError, LakefeedError):
                # The snapshot ends with its holder, and so does the read.
                return

    def _too_late(self, waiting: Sequence[Waiter], before: float) -> Waiter | None:
        """One of them who has been seen to wait since then."""
        now = time.monotonic()
        self._since = {waiter.pid: self._since.get(waiter.pid, now) for waiter in waiting}
        return next((one for one in waiting if self._since[one.pid] <= before), None)

    def _error(self, waiter: Waiter) -> KeptWaiting:
        table, allowed = self._plan.table, self._plan.table.settings.max_lock_wait
        assert allowed is not None
        return KeptWaiting(
            f"{table.shown} was given up, since reading it kept another session waiting for more "
            f"than {allowed.total_seconds():g} s: {waiter}",
            where=table.where_of("max_lock_wait"),
            do="run again when that is done; nothing of the table was committed. If its reads take "
            "longer than others may wait: raise `max_lock_wait`",
        )


def kind_of_query(query: str) -> str:
    """The first words of a statement, which say what it does and hold no values."""
    words = re.findall(r"[a-z]+", _COMMENTS.sub("", query).lower()[:40])
    if not words or query.startswith("<"):
        return ""
    return " ".join(words[: 2 if words[0] in _OF_TWO_WORDS else 1]).upper()


def _ask(holder: PgConnection, pids: list[int]) -> list[Waiter]:
    if not pids:
        return []
    with holder.cursor() as cursor:
        cursor.execute(_WAITING, [pids])
        return [Waiter(pid, name or "", query or "", mode) for pid, name, query, mode in cursor]
