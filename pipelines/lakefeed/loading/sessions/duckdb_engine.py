"""The DuckDB instances that read from PostgreSQL and write Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from queue import Empty, SimpleQueue

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Project
from lakefeed.sql import literal

# How many sessions read a source at the same time: tables, or ranges of a big one.
CONCURRENT_READS = max(2, min(4, os.cpu_count() or 1))


class NoneFree(Exception):
    """Every engine is in use."""


@dataclass(frozen=True)
class Engine:
    """A DuckDB instance. `lacks_scanner` says why it can't read PostgreSQL itself, if it can't."""

    duckdb: DuckDBPyConnection
    lacks_scanner: str | None = None


class Engines:
    """A DuckDB instance for each table that is read at the same time, opened when it is needed.

    Each of its own: attached databases and the limit on memory belong to an instance.
    """

    def __init__(self, spill: Path, at_most: int) -> None:
        self._spill = spill
        self._free: SimpleQueue[Engine | None] = SimpleQueue()
        self._at_work: set[DuckDBPyConnection] = set()
        for _ in range(at_most):
            self._free.put(None)

    @contextmanager
    def session(self, *, wait: bool = True) -> Iterator[Engine]:
        """A session on an engine that nobody else uses.

        Args:
            wait: until one is free.

        Raises:
            NoneFree: all are in use, and nobody wants to wait.
        """
        try:
            engine = self._free.get(block=wait)
        except Empty:
            raise NoneFree from None
        try:
            engine = engine or open_engine(self._spill)
            session = engine.duckdb.cursor()
            self._at_work.add(session)
            try:
                yield Engine(session, engine.lacks_scanner)
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
                engine.duckdb.close()


def spill_folder(project: Project) -> Path:
    """Where engines of a project put what memory can't hold."""
    return project.data / ".duckdb"


def open_engine(spill: Path) -> Engine:
    """An in-memory DuckDB with the PostgreSQL scanner; spills to a folder when memory is short.

    Where that can't be made, as in a project that may only be read, it spills nowhere.
    """
    try:
        spill.mkdir(parents=True, exist_ok=True)
        spills_to = str(spill)
    except OSError:
        spills_to = ""
    # DuckDB would hash the scanner, 40 MB, to check its signature: 0.1 s each time. The lock file
    # has its hash, and whoever can change it could as well change this module.
    engine = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "allow_unsigned_extensions": "true"}
    )
    engine.execute(f"set temp_directory = {literal(spills_to)}")
    engine.execute("set preserve_insertion_order = false")
    engine.execute("set timezone = 'UTC'")
    try:
        engine.execute(f"load {literal(str(_scanner()))}")
    except (duckdb.Error, ImportError, FileNotFoundError) as error:
        reason = str(error).splitlines()[0]
        return Engine(engine, f"DuckDB {duckdb.__version__} can't load its scanner: {reason}")
    finally:
        engine.execute("set allow_unsigned_extensions = false")
    return Engine(engine)


@contextmanager
def engine_for(project: Project) -> Iterator[DuckDBPyConnection]:
    """A DuckDB instance to read a project's raw files with, closed in the end."""
    engine = open_engine(spill_folder(project)).duckdb
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def one_thread(engine: DuckDBPyConnection) -> Iterator[None]:
    """For statements that read the source: more threads would only wait, and waiting takes a core.

    Copying 6M rows took 12 s of CPU with two threads, 5 s with one, and no less time.
    """
    # On a session of its own, since this one's transaction may fail.
    with engine.cursor() as settings:
        threads = settings.execute("select current_setting('threads')").fetchall()[0][0]
        settings.execute("set threads = 1")
        try:
            yield
        finally:
            settings.execute(f"set threads = {threads}")


def _scanner() -> Path:
    folder = Path(str(files("duckdb_extension_postgres_scanner"))) / "extensions"
    return next(
        iter(folder.glob(f"v{duckdb.__version__}/*.duckdb_extension")),
        folder / f"v{duckdb.__version__}",
    )
