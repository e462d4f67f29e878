"""Allows one load of a table at a time, on all machines that share the raw layer."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg2 import Error as PgError
from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.project import Location, Project
from lakefeed.declaration.table import Table
from lakefeed.errors import Refused, TableFailed
from lakefeed.loading.locks.abandoned_sessions import claim_run, end_abandoned_sessions
from lakefeed.loading.locks.lock_file import Busy, file_lock
from lakefeed.loading.locks.lock_holder import holder_in_source
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.object_store.store_check import LAKE_ID, id_in_store
from lakefeed.source.connections.watched_session import WatchedSession

# A terminated session rolls back before it releases its locks.
_FREE_AFTER_SECONDS = 10.0


class LockLost(TableFailed):
    """The session that held a table's lock has ended."""


@dataclass(frozen=True)
class TableLock:
    """A lock for its holder, with notes on how it was acquired."""

    table: Table
    session: PgConnection
    notes: tuple[str, ...] = ()

    def assert_held(self) -> None:
        """Checks, before anything is committed, that the session with the lock is still open.

        Raises:
            LockLost: the session has ended, and another run may hold the lock.
        """
        try:
            with self.session.cursor() as cursor:
                cursor.execute("select 1")
        except PgError:
            raise LockLost(
                f"{self.table.shown} lost its lock: the session that held it has ended",
                where=self.table.where,
                do="run again; the rows read so far will be committed then",
            ) from None


@contextmanager
def table_lock(project: Project, table: Table, session: WatchedSession) -> Iterator[TableLock]:
    """Holds a lock file on this machine, and an advisory lock in the source for all others.

    Both are released if the process dies. The advisory lock belongs to the session's transaction,
    so that it also works through a transaction pooler.

    Raises:
        Refused: another load of the table is running.
    """
    with folder_lock(project, table.lake_name, session, where=table.where) as notes:
        yield TableLock(table, session, tuple(notes))


@contextmanager
def folder_lock(
    project: Project, lake_name: str, session: WatchedSession | None, *, where: str = ""
) -> Iterator[list[str]]:
    """Holds the lock of a raw folder, which may belong to a table that is no longer declared.

    Yields notes on how the lock was acquired.

    Args:
        session: None if the source is no longer declared, so that no machine can load the table.

    Raises:
        Refused: a load into the folder is running.
    """
    name, folder = lake_name.replace("__", ".", 1), project.data / "locks"
    try:
        with file_lock(lock_path(project, lake_name)):
            notes = []
            if session:
                claim_run(folder, session)
                number = number_of(project, lake_name)
                notes = _lock_in_source(folder, session, number, name, where=where)
            yield notes
    except Busy as error:
        holder = error.holder
        raise Refused(
            f"{name} is already being loaded by another run" + (f": {holder}" if holder else ""),
            where=where,
            do="wait for that run to finish; nothing was read"
            + (f". To end it{holder.where}: kill {holder.pid}" if holder else ""),
        ) from None


def _lock_in_source(
    folder: Path, session: WatchedSession, number: int, name: str, *, where: str
) -> list[str]:
    """Takes the advisory lock, after ending the sessions of a dead run of this machine if needed.

    Raises:
        Refused: a session of the source holds it.
    """
    if _advisory_lock(session, number):
        return []
    connection = session.line.connection
    holder = holder_in_source(connection, number)
    if holder and holder.run and end_abandoned_sessions(folder, connection, holder.run):
        limit = time.monotonic() + _FREE_AFTER_SECONDS
        while time.monotonic() < limit:
            if _advisory_lock(session, number):
                return [f"ended a session that a dead run had left behind: {holder}"]
            time.sleep(0.1)
    raise Refused(
        f"{name} is already being loaded by another run" + (f": {holder}" if holder else ""),
        where=where,
        do="wait for that run to finish; nothing was read"
        + (f". If its machine is down, end its session: {holder.statement}" if holder else ""),
    )


def lake_id(raw: Location) -> str:
    """The unique id of a raw layer, the same wherever it is mounted.

    Side effect: creates the id on first use.
    """
    if not raw.is_local:
        return id_in_store(raw)
    filesystem, root = open_raw(raw)
    path = f"{root}/{LAKE_ID}"
    if not filesystem.exists(path):
        filesystem.makedirs(root, exist_ok=True)
        filesystem.write_text(path, f"{uuid.uuid4()}\n")
    return str(filesystem.read_text(path)).strip()


def lock_path(project: Project, lake_name: str) -> Path:
    """The lock file of a raw folder on this machine."""
    return project.data / "locks" / f"{lake_name}.lock"


def number_of(project: Project, lake_name: str) -> int:
    """The number of a raw folder's advisory lock in the source, the same on all machines."""
    name = f"{lake_id(project.raw)} {lake_name}"
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def _advisory_lock(session: PgConnection, number: int) -> bool:
    with session.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s)", [number])
        row = cursor.fetchone()
    return bool(row and row[0])
