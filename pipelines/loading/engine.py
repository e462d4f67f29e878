"""The DuckDB instance that reads from PostgreSQL and writes Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from queue import SimpleQueue

import duckdb
from duckdb import DuckDBPyConnection
from psycopg2.extensions import connection as PgConnection

from pipelines.errors import LakefeedError
from pipelines.loading.plan import TablePlan
from pipelines.source.connection import Connection, connect, session_name, transaction_settings
from pipelines.source.snapshot import Snapshot

_ATTACHED = "source"
_CANCEL = """
select pg_cancel_backend(pid) from pg_stat_activity
where application_name = any(%s) and datname = current_database() and usename = current_user
"""


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
    def session(self) -> Iterator[DuckDBPyConnection]:
        """A session on an engine that nobody else uses; waits until one is free.

        Raises:
            LakefeedError: the scanner that is installed is not the one for this DuckDB.
        """
        engine = self._free.get()
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
    _reading: set[str] = field(default_factory=set)

    @contextmanager
    def session(self, plan: TablePlan) -> Iterator[DuckDBPyConnection]:
        """A DuckDB transaction that reads the source at the shared snapshot.

        Where that can't be had, since a pooler or load balancer leads to another server, it reads
        at a moment of its own, which is later: nothing is lost by it.
        """
        name = session_name(f"lakefeed {plan.table.lake_name}")
        dsn = self.connection.for_session(name)
        settings = transaction_settings(statement_timeout_ms=plan.statement_timeout_ms)
        with self.engines.session() as session:
            session.execute(f"attach {literal(dsn)} as {_ATTACHED} (type postgres, read_only)")
            self._reading.add(name)
            try:
                session.execute("begin")
                self._adopt_snapshot(session)
                session.execute(_on_source(settings))
                yield session
            finally:
                self._reading.discard(name)
                _quietly(session, "rollback")
                _quietly(session, f"detach {_ATTACHED}")

    def interrupt(self) -> None:
        """Ends the statements that are running, so that whoever waits for them goes on.

        DuckDB looks for its own interrupts only between the rows that the source sends, so a
        statement that sends none is cancelled there. (tests/integration/test_restart.py)
        """
        self.engines.interrupt()
        with connect(self.connection, "lakefeed interrupt") as session, session.cursor() as cursor:
            cursor.execute(_CANCEL, [list(self._reading)])

    def _adopt_snapshot(self, session: DuckDBPyConnection) -> None:
        adopt = f"set transaction snapshot {literal(self.snapshot.id)}"
        try:
            session.execute(_on_source(adopt))
        except duckdb.Error as error:
            if "snapshot" not in str(error):
                raise
            session.execute("rollback")
            session.execute("begin")
            if not self.warnings:
                self.warnings.append(
                    f"{self.connection.source}: tables can't share one snapshot (a pooler or load "
                    "balancer in between?), so each is read at a moment of its own, and rows of "
                    "different tables may not fit together"
                )


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
