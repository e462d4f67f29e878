"""Sessions that read all tables of a run at one snapshot of the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from threading import Event

from lakefeed.errors import LakefeedError
from lakefeed.loading.plan.queries import lock_query
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.duckdb_engine import CONCURRENT_READS, Engine, Engines, NoneFree
from lakefeed.loading.sessions.lock_waiters import LockWatch
from lakefeed.loading.sessions.session import CursorSession, ScannerSession, SourceSession
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.failure import NoSessionLeft
from lakefeed.source.connections.keepalive import Line
from lakefeed.source.connections.limits import Allowance
from lakefeed.source.connections.session_settings import transaction_settings
from lakefeed.source.connections.watchdog import interrupt_lines, watch
from lakefeed.source.connections.watched_session import WatchedSession
from lakefeed.source.snapshot import Snapshot

WITHOUT_SCANNER = (
    "reading tables through psycopg2 instead, with the same values but slowly. To fix this: pip "
    "install --require-hashes -r requirements.lock"
)


@dataclass(frozen=True)
class SourceAtSnapshot:
    """A source at one snapshot: its connection, the snapshot, and the engines that read it.

    `holder` is the session with the transaction that keeps the snapshot. `warnings` grows while
    tables are read.
    """

    connection: Connection
    snapshot: Snapshot
    holder: WatchedSession
    engines: Engines
    warnings: list[str] = field(default_factory=list)
    _lock_watches: dict[str, LockWatch] = field(default_factory=dict)
    _allowance: Allowance = field(init=False)
    _interrupted: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowance", Allowance(self._warn, self.holder))

    @contextmanager
    def session(self, plan: TablePlan) -> Iterator[SourceSession]:
        """Opens a transaction that reads the source at the shared snapshot.

        If that is impossible, because the snapshot wasn't exported or a pooler or load balancer
        connects to another server, the transaction reads at a later snapshot. No rows are lost.
        """
        with self.engines.session() as engine, self._connected(engine, plan) as session:
            settings = _settings(plan)
            if self.snapshot.id is None:
                session.begin(None, settings)
            elif not session.begin(self.snapshot.id, settings):
                session.begin(None, settings)
                session.line.is_elsewhere = True
                self._warn(
                    "tables can't share a snapshot (is there a pooler or load balancer in "
                    "between?), so each table is read at its own snapshot, and rows of different "
                    "tables may not be consistent with each other"
                )
            with self._watched(plan, session):
                yield session

    @contextmanager
    def further_session(self, plan: TablePlan, snapshot: str) -> Iterator[SourceSession | None]:
        """Opens another session at a snapshot that the first session exported.

        Yields None if that is impossible: no engine is free, the source has no more sessions, or a
        pooler connects to another server. The session takes the table's locks without waiting:
        queueing behind an ALTER TABLE that itself waits for the first session would be a deadlock.

        Raises:
            duckdb.Error, psycopg2.Error: a lock isn't available at once.
        """
        with ExitStack() as stack:
            try:
                engine = stack.enter_context(self.engines.session(wait=False))
                session = stack.enter_context(self._connected(engine, plan, waits=False))
            except (NoneFree, NoSessionLeft):
                yield None
                return
            if not session.begin(snapshot, _settings(plan, lock_timeout_ms=1)):
                yield None
                return
            session.fetch(lock_query(plan))
            lock_watch = self._lock_watches.get(plan.table.lake_name)
            with lock_watch.after(session.backend_pid()) if lock_watch else nullcontext():
                yield session

    @staticmethod
    def sessions_for(plan: TablePlan) -> int:
        """The number of sessions that may read this table in parallel."""
        return plan.table.settings.parallel or CONCURRENT_READS

    def interrupt(self) -> None:
        """Cancels all running statements, so that the threads that wait for them continue.

        DuckDB checks for interrupts only between batches of rows from the source, so statements
        are also cancelled on the source (tests/integration/test_restart.py). No session is opened
        afterwards: a thread whose probe was cancelled would go on to the load.
        """
        self._interrupted.set()
        self.engines.interrupt()
        interrupt_lines(self.connection)

    @contextmanager
    def _connected(
        self, engine: Engine, plan: TablePlan, *, waits: bool = True
    ) -> Iterator[SourceSession]:
        session = self._allowance.one_more(lambda: self._open(engine, plan), waits=waits)
        try:
            yield session
        finally:
            session.close()
            session.line.close()
            self._allowance.end()

    def _open(self, engine: Engine, plan: TablePlan) -> SourceSession:
        if self._interrupted.is_set():
            raise LakefeedError(f"{plan.table.shown} was not read: the run was interrupted")
        line = watch(Line(self.connection, f"lakefeed {plan.table.lake_name}"))
        try:
            return self._kind_of_session(engine, plan)(engine.duckdb, line)
        except BaseException:
            line.close()
            raise

    @contextmanager
    def _watched(self, plan: TablePlan, session: SourceSession) -> Iterator[None]:
        """
        Raises:
            KeptWaiting: reading kept another session waiting for longer than `max_lock_wait`.
        """
        limit = plan.table.settings.max_lock_wait
        if limit is None:
            yield
            return
        lock_watch = self._lock_watches[plan.table.lake_name] = LockWatch(plan, self.holder)
        with (
            lock_watch.after(session.backend_pid()),
            lock_watch.while_reading(limit.total_seconds()),
        ):
            yield

    def _kind_of_session(
        self, engine: Engine, plan: TablePlan
    ) -> type[ScannerSession] | type[CursorSession]:
        if engine.lacks_scanner:
            self._warn(f"{engine.lacks_scanner}; {WITHOUT_SCANNER}")
            return CursorSession
        return CursorSession if plan.table.settings.backend == "psycopg2" else ScannerSession

    def _warn(self, warning: str) -> None:
        message = f"{self.connection.source}: {warning}"
        if message not in self.warnings:
            self.warnings.append(message)


def _settings(plan: TablePlan, lock_timeout_ms: int | None = None) -> str:
    return transaction_settings(
        statement_timeout_ms=plan.statement_timeout_ms, lock_timeout_ms=lock_timeout_ms
    )
