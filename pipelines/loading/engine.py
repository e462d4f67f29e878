"""The DuckDB instance that reads from PostgreSQL and writes Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from queue import Empty, SimpleQueue

import duckdb
from duckdb import DuckDBPyConnection
from psycopg2.extensions import connection as PgConnection

from pipelines.errors import LakefeedError
from pipelines.loading.plan import TablePlan
from pipelines.source.connection import Connection, connect, session_name, transaction_settings
from pipelines.source.snapshot import Snapshot

# How many sessions read a source at the same time: tables, or ranges of a big one.
SIDE_BY_SIDE = max(2, min(4, os.cpu_count() or 1))

_ATTACHED = "source"
_EXPORT = "select pg_export_snapshot()"
_CANCEL = """
select pg_cancel_backend(pid) from pg_stat_activity
where application_name = any(%s) and datname = current_database() and usename = current_user
"""


class NoneFree(Exception):
    """Every engine is in use."""


class Engines:
    """A DuckDB instance for each table that is read at the same time, opened when it is needed.

    Each of its own: attached databases and the limit on memory belong to an instance.
    """

    def __init__(self, spill: Path, at_most: int) -> None:
        self._spill = spill
        self._free: SimpleQueue[DuckDBPyConnection | None] = SimpleQueue()
        self._at_work: set[DuckDBPyConnection] = set()
        for _ in range(at_most):
            self._free.put(None)

    @contextmanager
    def session(self, *, wait: bool = True) -> Iterator[DuckDBPyConnection]:
        """A session on an engine that nobody else uses.

        Args:
            wait: until one is free.

        Raises:
            NoneFree: all are in use, and nobody wants to wait.
            LakefeedError: the scanner that is installed is not the one for this DuckDB.
        """
        try:
            engine = self._free.get(block=wait)
        except Empty:
            raise NoneFree from None
        try:
            engine = engine or open_engine(self._spill)
            session = engine.cursor()
            self._at_work.add(session)
            try:
                yield session
            finally:
                self._at_work.discard(session)
                session.close()
        finally:
            self._free.put(engine)

    def interrupt(self) -> None:
        """Ends what DuckDB itself is doing."""
        for session in tuple(self._at_work):
            session.interrupt()

    def close(self) -> None:
        """To be called when no session is in use."""
        while not self._free.empty():
            engine = self._free.get()
            if engine:
                engine.close()


def open_engine(spill: Path) -> DuckDBPyConnection:
    """An in-memory DuckDB with the PostgreSQL scanner; spills to a folder when memory is short.

    Raises:
        LakefeedError: the scanner that is installed is not the one for this DuckDB.
    """
    spill.mkdir(parents=True, exist_ok=True)
    engine = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    engine.execute(f"set temp_directory = {literal(str(spill))}")
    engine.execute("set preserve_insertion_order = false")
    try:
        engine.execute(f"load {literal(str(_scanner()))}")
    except (duckdb.Error, FileNotFoundError) as error:
        raise LakefeedError(
            f"DuckDB {duckdb.__version__} can't load its PostgreSQL scanner: {error}",
            do="install the locked versions: pip install --require-hashes -r requirements.lock",
        ) from None
    engine.execute("set timezone = 'UTC'")
    return engine


@dataclass(frozen=True)
class SourceAtSnapshot:
    """One source at one moment: how to reach it, the snapshot, and the engines that read it.

    `holder` is the session that holds the snapshot, in its transaction. `warnings` fills up while
    tables are read.
    """

    connection: Connection
    snapshot: Snapshot
    holder: PgConnection
    engines: Engines
    warnings: list[str] = field(default_factory=list)
    _reading: list[str] = field(default_factory=list)

    @contextmanager
    def session(self, plan: TablePlan) -> Iterator[DuckDBPyConnection]:
        """A DuckDB transaction that reads the source at the shared snapshot.

        Where that can't be had, since a pooler or load balancer leads to another server, it reads
        at a moment of its own, which is later: nothing is lost by it.
        """
        with self.engines.session() as session, self._attached(session, plan):
            session.execute("begin")
            if not self._adopt(session, self.snapshot.id):
                session.execute("begin")
                self._warn_of_other_moments()
            self._begin(session, plan)
            yield session

    @contextmanager
    def further_session(
        self, plan: TablePlan, snapshot: str
    ) -> Iterator[DuckDBPyConnection | None]:
        """Another session at the snapshot that a first one exported.

        None where that can't be had: no engine is free, or a pooler leads elsewhere.
        """
        try:
            with self.engines.session(wait=False) as session, self._attached(session, plan):
                session.execute("begin")
                if not self._adopt(session, snapshot):
                    yield None
                    return
                self._begin(session, plan)
                yield session
        except NoneFree:
            yield None

    def interrupt(self) -> None:
        """Ends the statements that are running, so that whoever waits for them goes on.

        DuckDB looks for its own interrupts only between the rows that the source sends, so a
        statement that sends none is cancelled there. (tests/integration/test_restart.py)
        """
        self.engines.interrupt()
        with connect(self.connection, "lakefeed interrupt") as session, session.cursor() as cursor:
            cursor.execute(_CANCEL, [list(self._reading)])

    @contextmanager
    def _attached(self, session: DuckDBPyConnection, plan: TablePlan) -> Iterator[None]:
        name = session_name(f"lakefeed {plan.table.lake_name}")
        dsn = self.connection.for_session(name)
        session.execute(f"attach {literal(dsn)} as {_ATTACHED} (type postgres, read_only)")
        self._reading.append(name)
        try:
            yield
        finally:
            self._reading.remove(name)
            _quietly(session, "rollback")
            _quietly(session, f"detach {_ATTACHED}")

    def _begin(self, session: DuckDBPyConnection, plan: TablePlan) -> None:
        settings = transaction_settings(statement_timeout_ms=plan.statement_timeout_ms)
        session.execute(_on_source(settings))

    def _adopt(self, session: DuckDBPyConnection, snapshot: str) -> bool:
        """Whether the session's transaction reads at this snapshot; if not, it is rolled back."""
        try:
            session.execute(_on_source(f"set transaction snapshot {literal(snapshot)}"))
        except duckdb.Error as error:
            if "snapshot" not in str(error):
                raise
            session.execute("rollback")
            return False
        return True

    @staticmethod
    def sessions_for(plan: TablePlan) -> int:
        """How many sessions may read this table at the same time."""
        return plan.table.settings.parallel or SIDE_BY_SIDE

    def _warn_of_other_moments(self) -> None:
        if not self.warnings:
            self.warnings.append(
                f"{self.connection.source}: tables can't share one snapshot (a pooler or load "
                "balancer in between?), so each is read at a moment of its own, and rows of "
                "different tables may not fit together"
            )


def export_snapshot(session: DuckDBPyConnection) -> str:
    """The snapshot that this session reads at, for others to adopt while it reads."""
    return str(session.execute(f"from {source_query(_EXPORT)}").fetchall()[0][0])


@contextmanager
def one_thread(session: DuckDBPyConnection) -> Iterator[None]:
    """For statements that read the source: more threads would only wait, and waiting takes a core.

    Copying 6M rows took 12 s of CPU with two threads, 5 s with one, and no less time.
    """
    # On a session of its own, since this one's transaction may fail.
    with session.cursor() as settings:
        threads = settings.execute("select current_setting('threads')").fetchall()[0][0]
        settings.execute("set threads = 1")
        try:
            yield
        finally:
            settings.execute(f"set threads = {threads}")


def source_query(sql: str) -> str:
    """A from-clause item with the rows of this query, run by the source."""
    return f"postgres_query({literal(_ATTACHED)}, {literal(sql)})"


def _on_source(statements: str) -> str:
    """A statement that has the source execute others, in its transaction."""
    return f"call postgres_execute({literal(_ATTACHED)}, {literal(statements)})"


def literal(text: str) -> str:
    """Text as a quoted SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _scanner() -> Path:
    folder = Path(str(files("duckdb_extension_postgres_scanner"))) / "extensions"
    return next(
        iter(folder.glob(f"v{duckdb.__version__}/*.duckdb_extension")),
        folder / f"v{duckdb.__version__}",
    )


def _quietly(session: DuckDBPyConnection, statement: str) -> None:
    try:
        session.execute(statement)
    except duckdb.Error:
        pass
