"""The PostgreSQL that is read: an embedded server whose data outlives the benchmark."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg2

from pipelines.demo.server import embedded_postgres, postgres_program

# Nothing but the contenders may keep the server busy while it is measured.
_SETTINGS = ("autovacuum = off", "max_wal_size = '8GB'", "checkpoint_timeout = '1d'")


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
        with closing(psycopg2.connect(self.url)) as session, session, session.cursor() as cursor:
            with csv.open("rb") as rows:
                cursor.copy_expert(f"copy {table} from stdin (format csv, header)", rows)

    def version(self) -> str:
        """The server's version."""
        return str(self.row("show server_version")[0]).split()[0]


@contextmanager
def running_source(folder: Path) -> Iterator[Source]:
    """Starts the server with the benchmark's settings, and stops it afterwards."""
    with embedded_postgres(folder) as url:
        pid = int((folder / "postmaster.pid").read_text(encoding="utf-8").split()[0])
        source = Source(url, pid)
        source.execute(*(f"alter system set {one}" for one in _SETTINGS))
        source.execute("select pg_reload_conf()")
        yield source


def ensure_database(source: Source, name: str) -> Source:
    """The database of this name, made if it isn't there."""
    if not source.row(f"select count(*) from pg_database where datname = '{name}'")[0]:
        source.execute(f"create database {name}")
    return source.named(name)


def psql(source: Source, *statements: str) -> list[str]:
    """The command line that runs statements with the server's own client."""
    commands = [part for one in statements for part in ("--command", one)]
    return [postgres_program("psql"), "--no-psqlrc", "--quiet", source.url, *commands]


def quiet(source: Source) -> None:
    """Has the server write down what it put off, so that it doesn't while it is measured."""
    source.execute("checkpoint")
    subprocess.run(["sync"], check=False) if os.name == "posix" else None
