"""Sessions that read all tables of a run at one snapshot of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from threading import Event

import duckdb

from lakefeed.errors import LakefeedError
from lakefeed.loading.plan.queries import lock_query
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.cursor_session import CursorSession
from lakefeed.loading.sessions.duckdb_engine import (
    CONCURRENT_READS,
    Engine,
    Engines,
    Lease,
    NoneFree,
)
from lakefeed.loading.sessions.holder_session import HolderSession
from lakefeed.loading.sessions.lock_waiters import LockWatch
from lakefeed.loading.sessions.read_progress import ReadProgress
from lakefeed.loading.sessions.session import (
    OpenedSession,
    ScannerSession,
    SourceSession,
)
from lakefeed.source.connections.connection import Connection, session_name
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

    Attributes:
        holder: the session that keeps the snapshot; None where another process has it.
        waits: wait while the source has no session left.
        warnings: grows while tables are read.
        progress: which tables are being read.
    """

    connection: Connection
    snapshot: Snapshot
    holder: WatchedSession | None
    engines: Engines
    waits: bool = True
    warnings: list[str] = field(default_factory=list)
    progress: ReadProgress = field(default_factory=ReadProgress)
    _lock_watches: dict[str, LockWatch] = field(default_factory=dict)
    _allowance: Allowance = field(init=False)
    _interrupted: Event = field(default_factory=Event)
    _keeps_none: Event = field(default_factory=Event)
    _is_short: Event = field(default_factory=Event)
    _at_shortage: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        allowance = Allowance(self._say, self.holder, spare=self._close_unused)
        object.__setattr__(self, "_allowance", allowance)

    @property
    def needed_holder(self) -> WatchedSession:
        """The session that keeps the snapshot, in the process that has it."""
        assert self.holder is not None
        return self.holder

    def count_session(self, open_one: Callable[[], object]) -> None:
        """Counts a session that another process opens, until `session_ended`.

        `open_one` returns once it is open, and is retried while the source has none left.
        """
        self._allowance.one_more(open_one, waits=self.waits)

    def session_ended(self) -> None:
        """A session that another process had opened is closed."""
        self._allowance.end()

    @property
    def is_alone(self) -> bool:
        """Whether the session that keeps the snapshot also reads, since there may be no other."""
        budget = self.holder.budget if self.holder else None
        return budget is not None and budget.most == 1

    @property
    def is_short_of_sessions(self) -> bool:
        """Whether the source has refused a session, so that none may be kept without use."""
        return self._is_short.is_set()

    def at_shortage(self, close_unused: Callable[[], None]) -> None:
        """Has a function called when the source refuses a session."""
        self._at_shortage.append(close_unused)

    @contextmanager
    def session(self, plan: TablePlan) -> Iterator[SourceSession]:
        """A transaction that reads the source at the shared snapshot.

        If that is impossible, because the snapshot wasn't exported or a pooler or load balancer
        connects to another server, the transaction reads at a later snapshot. No rows are lost.
        The session that the last table left is used again, in a transaction without its locks.
        """
        with self.engines.lease() as lease:
            opened = self._kept_at_snapshot(lease, plan) or self._opened_at_snapshot(lease, plan)
            opened.session.tell_received(self.progress, plan.table.lake_name)
            try:
                with self._watched(plan, opened.session):
                    yield opened.session
            except BaseException:
                opened.close()
                raise
            self._keep_or_close(lease, opened)
        if self._keeps_none.is_set():
            # It may have been set while this session was being kept.
            self.engines.discard_kept()

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
                lease = stack.enter_context(self.engines.lease(wait=False))
                lease.discard()
                engine = stack.enter_context(self.engines.session_on(lease.engine))
                session = stack.enter_context(self._connected(engine, plan, waits=False))
            except (NoneFree, NoSessionLeft):
                yield None
                return
            if not session.begin(snapshot, _settings(plan, lock_timeout_ms=1)):
                yield None
                return
            session.fetch(lock_query(plan))
            session.tell_received(self.progress, plan.table.lake_name)
            lock_watch = self._lock_watches.get(plan.table.lake_name)
            with lock_watch.after(session.backend_pid()) if lock_watch else nullcontext():
                yield session

    def keep_no_sessions(self) -> None:
        """Closes sessions that no table uses, and from now on each as soon as its table is read."""
        self._keeps_none.set()
        self.engines.discard_kept()

    def _close_unused(self) -> None:
        self._is_short.set()
        self.keep_no_sessions()
        for close_unused in self._at_shortage:
            close_unused()

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

    def _kept_at_snapshot(self, lease: Lease, plan: TablePlan) -> OpenedSession | None:
        """The session that another table left, in a transaction; None if there is none to use."""
        kept, lease.kept = lease.kept, None
        if not isinstance(kept, OpenedSession):
            return None
        with suppress(duckdb.Error, LakefeedError):
            self._refuse_if_interrupted(plan)
            is_of_kind = isinstance(kept.session, self._kind_of_session(lease.engine, plan))
            if is_of_kind and kept.session.begin(self.snapshot.id, _settings(plan)):
                return kept
        kept.close()
        return None

    def _opened_at_snapshot(self, lease: Lease, plan: TablePlan) -> OpenedSession:
        with ExitStack() as stack:
            engine = stack.enter_context(self.engines.session_on(lease.engine))
            settings = _settings(plan)
            if self.is_alone:
                alone = HolderSession(engine.duckdb, self.needed_holder, settings)
                stack.callback(alone.close)
                return OpenedSession(alone, stack.pop_all())
            session = stack.enter_context(self._connected(engine, plan, waits=self.waits))
            if self.snapshot.id is None:
                session.begin(None, settings)
            elif not session.begin(self.snapshot.id, settings):
                session.begin(None, settings)
                session.line.is_elsewhere = True
                self._say(
                    "tables can't share a snapshot (is there a pooler or load balancer in "
                    "between?), so each table is read at its own snapshot, and rows of different "
                    "tables may not be consistent with each other"
                )
            return OpenedSession(session, stack.pop_all())

    def _keep_or_close(self, lease: Lease, opened: OpenedSession) -> None:
        """Leaves a session for the next table, out of its transaction, where that is sound.

        A standby ends sessions at any time and counts them, and only this run's own server has its
        snapshot.
        """
        session = opened.session
        at_shared_snapshot = self.snapshot.id is not None and self.snapshot.conflicts is None
        is_sound = session.can_be_kept and at_shared_snapshot and not session.line.is_elsewhere
        if is_sound and not (self._keeps_none.is_set() or self._interrupted.is_set()):
            with suppress(duckdb.Error, LakefeedError):
                session.end()
                lease.kept = opened
                return
        opened.close()

    @contextmanager
    def _connected(
        self, engine: Engine, plan: TablePlan, *, waits: bool
    ) -> Iterator[SourceSession]:
        session = self._allowance.one_more(lambda: self._open(engine, plan), waits=waits)
        try:
            yield session
        finally:
            session.close()
            session.line.close()
            self._allowance.end()

    def _open(self, engine: Engine, plan: TablePlan) -> SourceSession:
        self._refuse_if_interrupted(plan)
        line = watch(Line(self.connection, "lakefeed reader"))
        try:
            session = self._kind_of_session(engine, plan)(engine.duckdb, line)
            if isinstance(session, ScannerSession) and not self.snapshot.counts_copies:
                session.count_rows()
            return session
        except BaseException:
            line.close()
            raise

    @contextmanager
    def _watched(self, plan: TablePlan, session: SourceSession) -> Iterator[None]:
        """Raises KeptWaiting if reading blocks another session for longer than `max_lock_wait`."""
        limit = plan.table.settings.max_lock_wait
        if limit is None:
            yield
            return
        lock_watch = self._lock_watches[plan.table.lake_name] = LockWatch(plan, self.needed_holder)
        with (
            lock_watch.after(session.backend_pid()),
            lock_watch.while_reading(limit.total_seconds()),
        ):
            yield

    def _refuse_if_interrupted(self, plan: TablePlan) -> None:
        if self._interrupted.is_set():
            raise LakefeedError(f"{plan.table.shown} was not read: the run was interrupted")

    def _kind_of_session(
        self, engine: Engine, plan: TablePlan
    ) -> type[ScannerSession] | type[CursorSession]:
        if engine.lacks_scanner:
            self._say(f"{engine.lacks_scanner}; {WITHOUT_SCANNER}")
            return CursorSession
        return CursorSession if plan.table.settings.backend == "psycopg2" else ScannerSession

    def warn(self, warning: str) -> None:
        """Adds a warning for the report of the run, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def _say(self, warning: str) -> None:
        self.warn(f"{self.connection.source}: {warning}")


def _settings(plan: TablePlan, lock_timeout_ms: int | None = None) -> str:
    return transaction_settings(
        statement_timeout_ms=plan.statement_timeout_ms,
        lock_timeout_ms=lock_timeout_ms,
        application=session_name(f"lakefeed {plan.table.lake_name}"),
        first_schema=plan.table.schema if plan.table.query is not None else None,
    )
