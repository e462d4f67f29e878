"""One load of a table at a time: on this machine, and on every other that shares the raw layer."""

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

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import Refused, TableFailed
from lakefeed.loading.locks.abandoned_sessions import claim_run, end_what_was_left
from lakefeed.loading.locks.lock_file import Busy, file_lock
from lakefeed.loading.locks.lock_holder import holder_in_source
from lakefeed.loading.raw.filesystem import open_raw
from lakefeed.source.connections.watched_session import WatchedSession

_LAKE_ID = "_lakefeed_id"
# A session that is ended rolls back first.
_FREE_AFTER_SECONDS = 10.0


class LockLost(TableFailed):
    """The session that had a table's lock is gone."""


@dataclass(frozen=True)
class TableLock:
    """The lock as its holder sees it, and what there is to be told of how it was had."""

    table: Table
    session: PgConnection
    notes: tuple[str, ...] = ()

    def assert_held(self) -> None:
        """To be called before anything is committed: the lock ends with the session.

        Raises:
            LockLost: the session is gone, so that another run may hold the lock by now.
        """
        try:
            with self.session.cursor() as cursor:
                cursor.execute("select 1")
        except PgError:
            raise LockLost(
                f"{self.table.shown} lost its lock with the session that held it",
                where=self.table.where,
                do="run again: what was read is committed then",
            ) from None


@contextmanager
def table_lock(project: Project, table: Table, session: WatchedSession) -> Iterator[TableLock]:
    """A file lock for this machine, and an advisory lock in the source for the others.

    Both die with their holder. The advisory lock lasts as long as the session's transaction, so
    that it holds through a transaction pooler too.

    Raises:
        Refused: another load of the table is running.
    """
    with folder_lock(project, table.lake_name, session, where=table.where) as notes:
        yield TableLock(table, session, tuple(notes))


@contextmanager
def folder_lock(
    project: Project, lake_name: str, session: WatchedSession | None, *, where: str = ""
) -> Iterator[list[str]]:
    """The same for a raw folder by its name, also where no table that is declared belongs to it.

    Yields what there is to be told of how the lock was had.

    Args:
        session: None where its source is declared no longer, so that no machine can load it.

    Raises:
        Refused: a load into it is running.
    """
    name, folder = lake_name.replace("__", ".", 1), project.data / "locks"
    try:
        with file_lock(folder / f"{lake_name}.lock"):
            notes = []
            if session:
                claim_run(folder, session)
                number = _number(f"{lake_id(project.raw_url)} {lake_name}")
                notes = _lock_in_source(folder, session, number, name, where=where)
            yield notes
    except Busy as error:
        told = error.holder
        raise Refused(
            f"{name} is being loaded by another run, which goes on" + (f": {told}" if told else ""),
            where=where,
            do="wait for it to end; nothing was read"
            + (f". To end it{told.where}: kill {told.pid}" if told else ""),
        ) from None


def _lock_in_source(
    folder: Path, session: WatchedSession, number: int, name: str, *, where: str
) -> list[str]:
    """Takes the advisory lock, if need be from sessions that a dead run of this machine left.

    Raises:
        Refused: a session of the source has it.
    """
    if _advisory_lock(session, number):
        return []
    connection = session.line.connection
    holder = holder_in_source(connection, number)
    if holder and holder.run and end_what_was_left(folder, connection, holder.run):
        limit = time.monotonic() + _FREE_AFTER_SECONDS
        while time.monotonic() < limit:
            if _advisory_lock(session, number):
                return [f"ended what a run that is gone had left in the source: {holder}"]
            time.sleep(0.1)
    raise Refused(
        f"{name} is being loaded by another run" + (f": {holder}" if holder else ""),
        where=where,
        do="that run goes on: wait for it to end; nothing was read"
        + (f". If its machine is gone, end its session: {holder.statement}" if holder else ""),
    )


def lake_id(raw_url: str) -> str:
    """What tells this raw layer from others, wherever it is mounted.

    Side effect: written on first use.
    """
    filesystem, root = open_raw(raw_url)
    path = f"{root}/{_LAKE_ID}"
    if not filesystem.exists(path):
        filesystem.makedirs(root, exist_ok=True)
        filesystem.write_text(path, f"{uuid.uuid4()}\n")
    return str(filesystem.read_text(path)).strip()


def _number(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


def _advisory_lock(session: PgConnection, number: int) -> bool:
    with session.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s)", [number])
        row = cursor.fetchone()
    return bool(row and row[0])
