"""One source at one moment, for all tables of a run to be read at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipelines.loading.engine import SIDE_BY_SIDE, Engine, Engines, NoneFree
from pipelines.loading.plan import TablePlan
from pipelines.loading.session import CursorSession, ScannerSession, SourceSession
from pipelines.source.connection import Connection
from pipelines.source.line import Line
from pipelines.source.settings import transaction_settings
from pipelines.source.snapshot import Snapshot
from pipelines.source.watch import interrupt_lines, watch
from pipelines.source.watched import WatchedSession

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

    @contextmanager
    def session(self, plan: TablePlan) -> Iterator[SourceSession]:
        """A transaction that reads the source at the shared snapshot.

        Where that can't be had, since a pooler or load balancer leads to another server, it reads
        at a moment of its own, which is later: nothing is lost by it.
        """
        with self.engines.session() as engine, self._connected(engine, plan) as session:
            settings = _settings(plan)
            if not session.begin(self.snapshot.id, settings):
                session.begin(None, settings)
                session.line.is_elsewhere = True
                self._warn(
                    "tables can't share one snapshot (a pooler or load balancer in between?), so "
                    "each is read at a moment of its own, and rows of different tables may not fit "
                    "together"
                )
            yield session

    @contextmanager
    def further_session(self, plan: TablePlan, snapshot: str) -> Iterator[SourceSession | None]:
        """Another session at the snapshot that a first one exported.

        None where that can't be had: no engine is free, or a pooler leads elsewhere.
        """
        try:
            with (
                self.engines.session(wait=False) as engine,
                self._connected(engine, plan) as session,
            ):
                yield session if session.begin(snapshot, _settings(plan)) else None
        except NoneFree:
            yield None

    @staticmethod
    def sessions_for(plan: TablePlan) -> int:
        """How many sessions may read this table at the same time."""
        return plan.table.settings.parallel or SIDE_BY_SIDE

    def interrupt(self) -> None:
        """Ends the statements that are running, so that whoever waits for them goes on.

        DuckDB looks for its own interrupts only between the rows that the source sends, so a
        statement that sends none is cancelled there. (tests/integration/test_restart.py)
        """
        self.engines.interrupt()
        interrupt_lines(self.connection)

    @contextmanager
    def _connected(self, engine: Engine, plan: TablePlan) -> Iterator[SourceSession]:
        line = watch(Line(self.connection, f"lakefeed {plan.table.lake_name}"))
        try:
            session = self._kind_of_session(engine, plan)(engine.duckdb, line)
            try:
                yield session
            finally:
                session.close()
        finally:
            line.close()

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


def _settings(plan: TablePlan) -> str:
    return transaction_settings(statement_timeout_ms=plan.statement_timeout_ms)
