"""Ends a read that keeps other sessions waiting for a lock longer than `max_lock_wait`."""

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

# Within a transaction pg_stat_activity is cached until pg_stat_clear_snapshot() is called.
_WAITING = """
select pg_stat_clear_snapshot();
select distinct on (pid) pid, activity.application_name, activity.query, waiting.mode
from (select pid, mode from pg_locks where not granted offset 0) as waiting
join pg_stat_activity as activity using (pid)
where pg_blocking_pids(pid) && %s
"""
# In one message, so that no statement of another thread gets in between. `set local role none`,
# because a role set on login may not be allowed to end sessions of the login role.
_END = """
savepoint ending;
set local role none;
select pg_terminate_backend(pid) from unnest(%s) as pid;
rollback to savepoint ending
"""
_OF_TWO_WORDS = ("alter", "create", "drop", "lock", "refresh", "reindex")
_COMMENTS = re.compile(r"^(?:\s|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)
_CHECKS_PER_LIMIT = 4
_LEAST_SECONDS_BETWEEN_CHECKS = 0.1
_MOST_SECONDS_BETWEEN_CHECKS = 1.0


class KeptWaiting(RetryAtLaterSnapshot):
    """A read was cancelled because it kept another session waiting for too long."""

    note = (
        "the read kept another session waiting for longer than `max_lock_wait`, so the table was "
        "read again at a later snapshot than the other tables"
    )


@dataclass(frozen=True)
class Waiter:
    """A session that waits for a lock of this mode to run this statement."""

    pid: int
    application: str
    query: str
    mode: str

    def __str__(self) -> str:
        named = f" (`{self.application}`)" if self.application else ""
        return f"pid {self.pid}{named} is waiting for {kind_of_query(self.query) or self.mode}"


class LockWatch:
    """Watches for sessions that are blocked by the sessions reading one table.

    Args:
        holder: a separate session for the queries of this watch.
    """

    def __init__(self, plan: TablePlan, holder: PgConnection) -> None:
        self._plan = plan
        self._holder = holder
        self._pids: set[int] = set()
        self._since: dict[int, float] = {}
        self._stop = Event()
        self._blocked_too_long: Waiter | None = None

    @contextmanager
    def after(self, pid: int) -> Iterator[None]:
        """Watches a session, by its backend's pid, within the block."""
        self._pids.add(pid)
        try:
            yield
        finally:
            self._pids.discard(pid)

    @contextmanager
    def while_reading(self, limit: float) -> Iterator[None]:
        """Ends the watched sessions if they block another session for longer than the limit.

        Args:
            limit: in seconds.

        Raises:
            KeptWaiting: the sessions were ended, and the block failed because of it.
        """
        thread = Thread(target=self._watch, args=(limit,), name="lakefeed-waiters", daemon=True)
        thread.start()
        try:
            yield
        except Exception:
            if self._blocked_too_long is None:
                raise
            error = self._error(self._blocked_too_long)
        else:
            return
        finally:
            self._stop.set()
            thread.join()
        raise error

    def _watch(self, limit: float) -> None:
        pause = min(_MOST_SECONDS_BETWEEN_CHECKS, limit / _CHECKS_PER_LIMIT)
        while not self._stop.wait(max(pause, _LEAST_SECONDS_BETWEEN_CHECKS)):
            try:
                waiting = _waiters(self._holder, sorted(self._pids))
                waiter = self._waiting_since(waiting, time.monotonic() - limit)
                if waiter:
                    self._blocked_too_long = self._blocked_too_long or waiter
                    with self._holder.cursor() as cursor:
                        cursor.execute(_END, [sorted(self._pids)])
            except (PgError, LakefeedError):
                # Without its holder the snapshot ends, and the read fails by itself.
                return

    def _waiting_since(self, waiting: Sequence[Waiter], before: float) -> Waiter | None:
        """A waiter that was first seen before this time; None if there is none."""
        now = time.monotonic()
        self._since = {waiter.pid: self._since.get(waiter.pid, now) for waiter in waiting}
        return next((waiter for waiter in waiting if self._since[waiter.pid] <= before), None)

    def _error(self, waiter: Waiter) -> KeptWaiting:
        table, allowed = self._plan.table, self._plan.table.settings.max_lock_wait
        assert allowed is not None
        return KeptWaiting(
            f"reading {table.shown} was cancelled because it kept another session waiting for more "
            f"than {allowed.total_seconds():g} s: {waiter}",
            where=table.where_of("max_lock_wait"),
            do="run again once that session is done; nothing was committed for this table. If its "
            "reads always take longer, raise `max_lock_wait`",
        )


def kind_of_query(query: str) -> str:
    """The first words of a statement: its kind, without any values."""
    words = re.findall(r"[a-z]+", _COMMENTS.sub("", query).lower()[:40])
    if not words or query.startswith("<"):
        return ""
    return " ".join(words[: 2 if words[0] in _OF_TWO_WORDS else 1]).upper()


def _waiters(holder: PgConnection, pids: list[int]) -> list[Waiter]:
    if not pids:
        return []
    with holder.cursor() as cursor:
        cursor.execute(_WAITING, [pids])
        return [Waiter(pid, name or "", query or "", mode) for pid, name, query, mode in cursor]
