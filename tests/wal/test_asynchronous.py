"""Commits that the application doesn't wait for (`synchronous_commit = off`).

Snapshots show them before they are on the server's disk, where the log is read and crashes end.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lakefeed.orchestration.checks.audit import audit
from tests.conftest import CONNECTION_VARIABLE, Database, Lake, logical_server, new_database
from tests.wal.conftest import NAME, publish
from tests.wal.test_loading import loaded, newest

pytestmark = [pytest.mark.faults, pytest.mark.at_night]

# Longer than what a server needs that flushes five times a second, as by default.
DELAY_SECONDS = 7


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server that flushes its log only every few seconds."""
    settings = {"synchronous_commit": "off", "wal_writer_delay": f"{DELAY_SECONDS}s"}
    with logical_server(tmp_path_factory.mktemp("lazy") / "postgres", **settings) as server:
        yield server


@pytest.fixture
def lazy(server: Any, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database there, with a table whose log is kept for the declared source."""
    database = new_database(server.get_uri())
    monkeypatch.setenv(CONNECTION_VARIABLE, database.url)
    database.execute("create table t (id int primary key, word text)", "insert into t values (1)")
    publish(database, "t")
    lake.declare("t: {cursor: wal}")
    yield database
    database.execute(f"select pg_drop_replication_slot('{NAME}')")


def commit(database: Database, statement: str) -> None:
    """Commits right after the log was flushed, so that it isn't again for a while."""
    with closing(database.connect()) as session, session.cursor() as cursor:
        session.autocommit = True
        cursor.execute("select pg_current_wal_insert_lsn()::text")
        ((before,),) = cursor.fetchall()
        cursor.execute("create table other (id int)")
        is_flushed = False
        while not is_flushed:
            time.sleep(0.05)
            cursor.execute(f"select pg_current_wal_flush_lsn() > '{before}'")
            ((is_flushed,),) = cursor.fetchall()
        cursor.execute(statement)


def crash(server: Any) -> None:
    """The server ends at once, and is started again."""
    owner: dict[str, Any] = {"user": server.system_user} if server.system_user else {}
    subprocess.run(
        [Path(server.bin_path, "pg_ctl"), "-w", "-D", server.pgdata, "-m", "immediate", "stop"],
        check=True, capture_output=True, cwd="/", **owner,
    )  # fmt: skip
    server.start()


def test_an_audit_takes_what_is_not_flushed_yet_for_pending(lazy: Database, lake: Lake) -> None:
    assert lake.run().exit_code == 0
    commit(lazy, "insert into t values (2)")

    (found,) = audit(lake.project, ()).tables

    assert (found.findings, found.pending) == ((), 1)


@pytest.mark.parametrize("load", ["first", "later"])
def test_what_a_crash_takes_back_is_not_in_raw_and_hides_nothing_that_comes_after(
    server: Any, lazy: Database, lake: Lake, load: str
) -> None:
    if load == "later":
        loaded(lake)
    commit(lazy, "insert into t values (2, 'may be lost')")
    loaded(lake)
    crash(server)
    # It may get the number of the transaction that is lost.
    lazy.execute("insert into t values (3, 'new')")
    time.sleep(2 * DELAY_SECONDS)

    loaded(lake)

    assert newest(lake) == lazy.rows("select id, word from t order by id")
