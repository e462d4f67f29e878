"""Behind a pooler that gives each transaction another session (PgBouncer, in transaction mode)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from tests.conftest import CONNECTION_VARIABLE, Database, Lake
from tests.integration.spelling import lake_texts, source_texts, staging

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(shutil.which("pgbouncer") is None, reason="pgbouncer is not installed"),
]

# Settings that each transaction must override.
UNKIND = {
    "timezone": "Asia/Tokyo",
    "datestyle": "SQL, DMY",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "-5",
    "bytea_output": "escape",
}
COLUMNS = ["id", "at", "day", "span", "part", "bytes", "word", "zones"]
TABLES = (
    "create table t (id int primary key, at timestamptz not null default now(), day date,"
    " span interval, part float8, bytes bytea, word text, zones timestamptz[])",
    "insert into t values (1, now(), '2026-02-03', '1 mon 2 days 03:04:05', 0.1::float8 / 3,"
    " '\\x00ff41', 'größer', '{2026-02-03 04:05:06+00}')",
    "create table u as select generate_series(1, 1000) as id",
)


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    """A role with settings that Lakefeed must override."""
    name = f"p{uuid.uuid4().hex[:12]}"
    database.execute(f"create role {name} login superuser")
    for setting, value in UNKIND.items():
        database.execute(f"alter role {name} set {setting} = '{value}'")
    yield name
    database.execute(f"drop role {name}")


@pytest.fixture
def pooled(database: Database, role: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """The database through the pooler, which the declared source names."""
    given = parse_dsn(database.url)
    name = given["dbname"]
    with TemporaryDirectory() as folder:
        port = free_port()
        settings = Path(folder, "pgbouncer.ini")
        settings.write_text(
            f"[databases]\n{name} = host={given['host']} dbname={name} user={role}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 6\n"
            "client_login_timeout = 5\nquery_wait_timeout = 10\n"
        )
        Path(folder).chmod(0o755)
        # It declines to run as root, and the server's socket is for the server's own user.
        user = ["-u", "pgserver"] if os.geteuid() == 0 else []
        process = subprocess.Popen(
            ["pgbouncer", "-q", *user, str(settings)], stderr=subprocess.DEVNULL
        )
        url = f"postgresql://{role}@127.0.0.1:{port}/{name}"
        try:
            wait_for(url)
            monkeypatch.setenv(CONNECTION_VARIABLE, url)
            yield Database(url)
        finally:
            process.terminate()
            process.wait()


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(url: str) -> None:
    for _ in range(20):
        try:
            psycopg2.connect(url).close()
            return
        except psycopg2.OperationalError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")


def test_values_are_exact_whatever_the_settings_of_the_poolers_sessions(
    database: Database, pooled: Database, lake: Lake
) -> None:
    database.execute(*TABLES)
    lake.declare("t: {cursor: at}\nu: {mode: full_refresh}")

    report = lake.run()

    assert report.exit_code == 0, report.failures
    assert report.warnings == ()
    assert lake_texts(lake, staging("shop__t"), COLUMNS) == source_texts(database, "t", COLUMNS)


def test_late_commits_are_found_and_no_setting_leaks_to_other_clients(
    database: Database, pooled: Database, lake: Lake
) -> None:
    database.execute(*TABLES)
    lake.declare("t: {cursor: at}\nu: {mode: full_refresh}").load()
    late = pooled.connect()
    late.cursor().execute("insert into t (id) values (2)")
    database.execute("insert into t (id) values (3)")
    lake.load()
    late.commit()
    late.close()

    lake.load()

    assert lake.raw("shop__t", "id") == [(1,), (2,), (3,)]
    assert pooled.rows("show statement_timeout") == [("0",)]
    assert pooled.rows("show intervalstyle") == [("iso_8601",)]
    assert pooled.rows("show transaction_read_only") == [("off",)]
