"""Parts that the long suites alone need."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import CONNECTION_VARIABLE, Database, new_database

DEBIAN = Path("/usr/lib/postgresql")


@pytest.fixture(scope="session")
def debian_url() -> Iterator[str]:
    """The URL of a server of Debian's that lives as long as the tests."""
    with debian_server() as url:
        yield url


@contextmanager
def debian_server() -> Iterator[str]:
    """The URL of a PostgreSQL of Debian's: unlike the wheel's it has ICU and contrib's extensions.

    It listens on a socket alone, and trusts whoever reaches that.
    """
    programs = newest_programs()
    if programs is None:
        pytest.skip("Debian's PostgreSQL isn't installed (apt-get install postgresql)")
    is_root = os.geteuid() == 0
    user = "postgres" if is_root else None
    with TemporaryDirectory(prefix="lakefeed-pg") as folder:
        if is_root:
            shutil.chown(folder, user)
        data = f"{folder}/data"

        def do(program: str, *arguments: str) -> None:
            subprocess.run(
                [programs / program, *arguments],
                user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip

        do("initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--encoding=UTF8",
           "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        control = ("--pgdata", data, "--wait", "--log", f"{folder}/log")
        # Prepared transactions, as on the wheel's server; a lost test server needs no durability.
        options = f"-k {folder} -c listen_addresses= -c max_prepared_transactions=10 -c fsync=off"
        do("pg_ctl", "start", *control, "--options", options)
        try:
            yield f"postgresql://postgres:@/postgres?host={folder}"
        finally:
            do("pg_ctl", "stop", *control, "--mode=immediate")


@pytest.fixture
def debian_database(debian_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """What `database` is, on Debian's server."""
    created = new_database(debian_url)
    monkeypatch.setenv(CONNECTION_VARIABLE, created.url)
    yield created
    Database(debian_url).execute(f"drop database if exists {created.name} with (force)")


def newest_programs() -> Path | None:
    """The folder with the programs of the newest server that is installed."""
    found = [path.parent for path in DEBIAN.glob("*/bin/pg_ctl") if path.parts[-3].isdigit()]
    return max(found, key=lambda path: int(path.parts[-2]), default=None)
