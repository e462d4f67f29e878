"""One load of a table at a time: on this machine, and on every other that shares the raw layer."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import fsspec
from filelock import FileLock, Timeout
from psycopg2 import Error as PgError
from psycopg2.extensions import connection as PgConnection

from pipelines.declaration.project import Project
from pipelines.declaration.tables import Table
from pipelines.errors import Refused, TableFailed

_LAKE_ID = "_lakefeed_id"


@dataclass(frozen=True)
class TableLock:
    """The lock as its holder sees it."""

    table: Table
    session: PgConnection

    def assert_held(self) -> None:
        """To be called before anything is committed: the lock ends with the session.

        Raises:
            TableFailed: the session is gone, so that another run may hold the lock by now.
        """
        try:
            with self.session.cursor() as cursor:
                cursor.execute("select 1")
        except PgError:
            raise TableFailed(
                f"{self.table.shown} lost its lock with the session that held it",
                where=self.table.where,
                do="run again: what was read is committed then",
            ) from None


@contextmanager
def table_lock(project: Project, table: Table, session: PgConnection) -> Iterator[TableLock]:
    """A file lock for this machine, and an advisory lock in the source for the others.

    Both die with their holder. The advisory lock lasts as long as the session's transaction, so
    that it holds through a transaction pooler too.

    Raises:
        Refused: another load of the table is running.
    """
    with folder_lock(project, table.lake_name, session, where=table.where):
        yield TableLock(table, session)


@contextmanager
def folder_lock(
    project: Project, lake_name: str, session: PgConnection | None, *, where: str = ""
) -> Iterator[None]:
    """The same for a raw folder by its name, also where no table that is declared belongs to it.

    Args:
        session: None where its source is declared no longer, so that no machine can load it.

    Raises:
        Refused: a load into it is running.
    """
    folder = project.data / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    refused = Refused(
        f"{lake_name.replace('__', '.', 1)} is being loaded by another run",
        where=where,
        do="wait for it to end; nothing was read",
    )
    try:
        with FileLock(folder / f"{lake_name}.lock", timeout=0):
            if session and not _advisory_lock(session, f"{lake_id(project.raw_url)} {lake_name}"):
                raise refused
            yield
    except Timeout:
        raise refused from None


def lake_id(raw_url: str) -> str:
    """What tells this raw layer from others, wherever it is mounted.

    Side effect: written on first use.
    """
    filesystem, root = fsspec.url_to_fs(raw_url)
    path = f"{root.rstrip('/')}/{_LAKE_ID}"
    if not filesystem.exists(path):
        filesystem.makedirs(root, exist_ok=True)
        filesystem.write_text(path, f"{uuid.uuid4()}\n")
    return str(filesystem.read_text(path)).strip()


def _advisory_lock(session: PgConnection, name: str) -> bool:
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
    with session.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s)", [number])
        row = cursor.fetchone()
    return bool(row and row[0])
