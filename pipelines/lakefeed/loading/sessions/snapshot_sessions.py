"""One source at one moment, for all tables of a run to be read at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field

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
    "tables are read through psycopg2, exactly but slowly; to mend it: pip install "
    "--require-hashes -r requirements.lock"
)


@dataclass(frozen=True)
class SourceAtSnapshot:
    """One source at one moment: how to reach it, the snapshot, and the engines that read it.

    `holder` is the session that holds the snapshot, in its transaction. `warnings` fills up while
    tables are read.
    """

    connection: Connection
    snapshot: Snapshot
    holder: WatchedSession
    engines: Engines
    warnings: list[str] = field(default_factory=list)
    _lock_watches: dict[str, LockWatch] = field(default_factory=dict)
    _allowance: Allowance = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_allowance", Allowance(self._warn, self.holder))

    @contextmanager
    def session(self, plan: TablePlan) -> Iterator[SourceSession]:
        """A transaction that reads the source at the shared snapshot.

        Where that can't be had, it reads at a moment of its own, which is later: nothing is lost by
        it. Nobody may hold the snapshot, or a pooler or load balancer lead to another server.
        """
        with self.engines.session() as engine, self._connected(engine, plan) as session:
            settings = _settings(plan)
            if self.snapshot.id is None:
                session.begin(None, settings)
            elif not session.begin(self.snapshot.id, settings):
                session.begin(None, settings)
                session.line.is_elsewhere = True
                self._warn(
                    "tables can't share one snapshot (a pooler or load balancer in between?), so "
                    "each is read at a moment of its own, and rows of different tables may not fit "
                    "together"
                )
            with self._watched(plan, session):
                yield session

    @contextmanager
    def further_session(self, plan: TablePlan, snapshot: str) -> Iterator[SourceSession | None]:
        """Another session at the snapshot that a first one exported.

        None where that can't be had: no engine is free, the source gives no more sessions, or a
        pooler leads elsewhere. It has the table's locks already, and waits for none: whoever waits
        to alter the table waits for the first session, and would wait for this one as well.

        Raises:
            duckdb.Error, psycopg2.Error: such a lock can't be had at once.
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
            looks = self._lock_watches.get(plan.table.lake_name)
            with looks.after(session.backend_pid()) if looks else nullcontext():
                yield session

    @staticmethod
    def sessions_for(plan: TablePlan) -> int:
        """How many sessions may read this table at the same time."""
        return plan.table.settings.parallel or CONCURRENT_READS

    def interrupt(self) -> None:
        """Ends the statements that are running, so that whoever waits for them goes on.

        DuckDB looks for its own interrupts only between the rows that the source sends, so a
        statement that sends none is cancelled there. (tests/integration/test_restart.py)
        """
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
        looks = self._lock_watches[plan.table.lake_name] = LockWatch(plan, self.holder)
        with looks.after(session.backend_pid()), looks.while_reading(limit.total_seconds()):
            yield

    def _kind_of_session(
        self, engine: Engine, plan: TablePlan
    ) -> type[ScannerSession] | type[CursorSession]:
        if engine.lacks_scanner:
            self._warn(f"{engine.lacks_scanner}; {WITHOUT_SCANNER}")
            return CursorSession
        return CursorSession if plan.table.settings.backend == "psycopg2" else ScannerSession

    def _warn(self, warning: str) -> None:
        told = f"{self.connection.source}: {warning}"
        if told not in self.warnings:
            self.warnings.append(told)


def _settings(plan: TablePlan, lock_timeout_ms: int | None = None) -> str:
    return transaction_settings(
        statement_timeout_ms=plan.statement_timeout_ms, lock_timeout_ms=lock_timeout_ms
    )
