"""The DuckDB instances that read from PostgreSQL and write Parquet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Protocol

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Location, Project
from lakefeed.loading.object_store.duckdb_access import extension_file, give_access
from lakefeed.loading.sessions.spill_folders import own_folder, remove_left_behind
from lakefeed.sql import literal

# The number of sessions that read a source in parallel: tables, or ranges of a big table.
CONCURRENT_READS = max(2, min(4, os.cpu_count() or 1))


class NoneFree(Exception):
    """Every engine is in use."""


@dataclass(frozen=True)
class Engine:
    """A DuckDB instance. `lacks_scanner` is why the PostgreSQL scanner can't be loaded, if so."""

    duckdb: DuckDBPyConnection
    lacks_scanner: str | None = None


class Kept(Protocol):
    """What is kept open on an engine between two uses."""

    def close(self) -> None:
        """Closes it; the engine is still open."""


@dataclass
class Lease:
    """An engine for exclusive use. `kept` is what its last user left open for the next one."""

    engine: Engine
    kept: Kept | None = None

    def discard(self) -> None:
        """Closes what was left open."""
        kept, self.kept = self.kept, None
        if kept:
            kept.close()


class Engines:
    """A pool with one DuckDB instance per table read in parallel, each opened on first use.

    Instances aren't shared, since attached databases and the memory limit belong to an instance.

    Args:
        raw: the raw layer that they read; None for none.
        in_one_thread: use one thread unless `all_threads` allows more. Threads that wait for small
            tables cost more than they save: up to a quarter of the CPU time of loading fifty.
    """

    def __init__(
        self,
        spill: Path,
        at_most: int,
        *,
        in_one_thread: bool = False,
        raw: Location | None = None,
    ) -> None:
        remove_left_behind(spill)
        self._raw = raw
        self._spill = spill
        self._in_one_thread = in_one_thread
        # The one used last comes first: so as few are opened, and keep something, as are needed.
        self._free: LifoQueue[Lease | None] = LifoQueue()
        self._sessions: set[DuckDBPyConnection] = set()
        for _ in range(at_most):
            self._free.put(None)

    @contextmanager
    def lease(self, *, wait: bool = True) -> Iterator[Lease]:
        """An engine for exclusive use.

        Args:
            wait: wait until an engine is free.

        Raises:
            NoneFree: all engines are in use, and `wait` is false.
        """
        try:
            lease = self._free.get(block=wait)
        except Empty:
            raise NoneFree from None
        try:
            lease = lease or Lease(self._open())
            yield lease
        finally:
            self._free.put(lease)

    @contextmanager
    def session_on(self, engine: Engine) -> Iterator[Engine]:
        """A session on a leased engine, which `interrupt` reaches."""
        session = engine.duckdb.cursor()
        if self._raw:
            give_access(session, self._raw)
        self._sessions.add(session)
        try:
            yield Engine(session, engine.lacks_scanner)
        finally:
            self._sessions.discard(session)
            session.close()

    @contextmanager
    def session(self) -> Iterator[Engine]:
        """A session on an engine for exclusive use, once one is free."""
        with self.lease() as lease, self.session_on(lease.engine) as session:
            yield session

    def _open(self) -> Engine:
        engine = open_engine(self._spill)
        if self._in_one_thread:
            engine.duckdb.execute("set threads = 1")
        return engine

    def interrupt(self) -> None:
        """Interrupts all statements that run in DuckDB."""
        for session in tuple(self._sessions):
            session.interrupt()

    def discard_kept(self) -> None:
        """Closes what is kept open on engines that nobody uses."""
        for lease in reversed(self._take_free()):
            if lease:
                lease.discard()
            self._free.put(lease)

    def close(self) -> None:
        """Closes all engines. Call it only when no session is in use."""
        for lease in self._take_free():
            if lease:
                lease.discard()
                lease.engine.duckdb.close()

    def _take_free(self) -> list[Lease | None]:
        taken = []
        with suppress(Empty):
            while True:
                taken.append(self._free.get(block=False))
        return taken


def spill_folder(project: Project) -> Path:
    """The folder to which a project's engines spill when memory is short."""
    return project.data / ".duckdb"


def open_engine(spill: Path) -> Engine:
    """Opens an in-memory DuckDB with the PostgreSQL scanner that spills below a folder.

    If the folder can't be created, such as in a read-only project, it doesn't spill.
    """
    try:
        spill.mkdir(parents=True, exist_ok=True)
        spills_to = str(own_folder(spill))
    except OSError:
        spills_to = ""
    # Checking the signature means hashing the 40 MB scanner: 0.1 s each time. The wheel's hash is
    # in requirements.lock, and anyone who can replace the scanner can replace this module too.
    engine = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "allow_unsigned_extensions": "true"}
    )
    # DuckDB creates it when it first needs it, and removes it when it closes.
    engine.execute(f"set temp_directory = {literal(spills_to)}")
    engine.execute("set preserve_insertion_order = false")
    engine.execute("set timezone = 'UTC'")
    try:
        engine.execute(f"load {literal(str(extension_file('postgres_scanner')))}")
    except (duckdb.Error, ImportError, FileNotFoundError) as error:
        reason = str(error).splitlines()[0]
        return Engine(engine, f"DuckDB {duckdb.__version__} can't load its scanner: {reason}")
    finally:
        engine.execute("set allow_unsigned_extensions = false")
    return Engine(engine)


@contextmanager
def engine_for(project: Project) -> Iterator[DuckDBPyConnection]:
    """Opens a DuckDB instance for reading a project's raw files, and closes it afterwards."""
    engine = open_engine(spill_folder(project)).duckdb
    try:
        give_access(engine, project.raw)
        yield engine
    finally:
        engine.close()


@contextmanager
def one_thread(engine: DuckDBPyConnection) -> Iterator[None]:
    """Limits DuckDB to one thread, for statements that read the source.

    More threads only busy-wait for rows: copying 6 million rows took 12 s of CPU time with two
    threads and 5 s with one, in the same time.
    """
    with _with_threads(engine, 1):
        yield


@contextmanager
def all_threads(engine: DuckDBPyConnection) -> Iterator[None]:
    """Lets DuckDB use all cores, for statements that process many rows."""
    with _with_threads(engine, None):
        yield


@contextmanager
def _with_threads(engine: DuckDBPyConnection, wanted: int | None) -> Iterator[None]:
    """Sets the number of threads within the block; None for DuckDB's default, one for each core."""
    # In another session, because the transaction of this one may have failed.
    with engine.cursor() as settings:
        threads = settings.execute("select current_setting('threads')").fetchall()[0][0]
        if threads == wanted:
            yield
            return
        settings.execute("reset threads" if wanted is None else f"set threads = {wanted}")
        try:
            yield
        finally:
            settings.execute(f"set threads = {threads}")
