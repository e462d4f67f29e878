"""A server that emulates Snowflake, which lives as long as the tests."""

from __future__ import annotations

import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lakefeed.demo.store import ObjectStore
from lakefeed.transformation.targets.snowflake import Snowflake, close_connections, run
from tests.conftest import BUCKET, Database, Lake, new_lake

Sql = Callable[[str], list[tuple[Any, ...]]]

REPOSITORY = Path(__file__).parents[2]
SERVER = REPOSITORY / ".venv-snowflake_server/bin/python"
VARIABLE = "SNOWFLAKE_URL"
_READY_SECONDS = 300


@pytest.fixture(scope="session")
def emulator(store_server: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the emulator's account."""
    if find_spec("dbt.adapters.snowflake") is None:
        pytest.skip("dbt-snowflake isn't installed: run make test-clouds")
    if not SERVER.exists():
        pytest.skip("the emulator isn't installed: run make test-clouds")
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    folder = tmp_path_factory.mktemp("emulator")
    environment = {**store_server.environment, "TMPDIR": str(folder), "PATH": "/usr/bin:/bin"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [SERVER, REPOSITORY / "tests/snowflake/emulator.py", str(port)],
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            _wait_for(port, process)
            yield f"snowflake://tester:secret@emulated?host=127.0.0.1&port={port}&protocol=http"
        finally:
            close_connections()
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail("the emulator doesn't start")


@pytest.fixture
def account(emulator: str, store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Snowflake:
    """An empty database of the account, with a stage over a raw layer of its own."""
    database = f"db{uuid.uuid4().hex[:10]}"
    monkeypatch.setenv(VARIABLE, emulator)
    found = Snowflake(emulator, database, "LANDING.RAW")
    for statement in (
        "create schema if not exists landing",
        f"create or replace stage landing.raw url = 's3://{BUCKET}/{database}/'",
    ):
        run(found, statement)
    return found


@pytest.fixture
def sql(account: Snowflake) -> Sql:
    """Runs statements in the database that the project builds in."""
    return lambda statement: [tuple(row) for row in run(account, statement).fetchall()]


@pytest.fixture
def lake(account: Snowflake, database: Database, tmp_path: Path) -> Lake:
    """A project on the emulator, with its raw layer below the stage."""
    return replace(
        new_lake(tmp_path),
        warehouse=declared(account),
        raw_url=f"s3://{BUCKET}/{account.database}/raw",
    )


def declared(account: Snowflake) -> str:
    """What sources.yaml declares as the warehouse."""
    return (
        f"{{type: snowflake, url: '${{{VARIABLE}}}', database: {account.database}, "
        f"stage: {account.stage}}}"
    )
