"""PgBouncer before a server of the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from tests.conftest import Database

if_installed = pytest.mark.skipif(
    shutil.which("pgbouncer") is None, reason="pgbouncer is not installed"
)


@contextmanager
def pooled(
    database: Database, role: str, *, mode: str = "transaction", **settings: object
) -> Iterator[Database]:
    """The database through a pooler, as this role.

    Args:
        mode: when a client's server session becomes another's: `transaction` or `session`.
        settings: of PgBouncer, beside its defaults.
    """
    given = parse_dsn(database.url)
    name, port = given["dbname"], _free_port()
    every = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": mode,
        "default_pool_size": 6,
        "client_login_timeout": 5,
        "query_wait_timeout": 10,
        **settings,
    }
    with TemporaryDirectory() as folder:
        path = Path(folder, "pgbouncer.ini")
        path.write_text(
            f"[databases]\n{name} = host={given['host']} dbname={name} user={role}\n[pgbouncer]\n"
            + "".join(f"{key} = {value}\n" for key, value in every.items())
        )
        Path(folder).chmod(0o755)
        # It declines to run as root, and the server's socket is for the server's own user.
        user = ["-u", "pgserver"] if os.geteuid() == 0 else []
        process = subprocess.Popen(["pgbouncer", "-q", *user, str(path)], stderr=subprocess.DEVNULL)
        url = f"postgresql://{role}@127.0.0.1:{port}/{name}"
        try:
            _wait_for(url)
            yield Database(url)
        finally:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(url: str) -> None:
    for _ in range(20):
        try:
            psycopg2.connect(url).close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")
