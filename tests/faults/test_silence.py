"""A run ends if its connection goes silent while a device in between still acknowledges.

The network falls silent at each of a load's statements, and in the midst of its rows: for every
connection, or, as where a firewall forgets, for those alone that there are.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import Database, Lake, new_lake, only
from tests.integration.test_interruption import assert_interrupted
from tests.silence import Network
from tests.started import COMMAND, Started, start

pytestmark = pytest.mark.faults

SILENT_AFTER_SECONDS = 2
ROWS = 60_000
# What the client has sent when the network falls silent.
STATEMENTS = {
    "the first settings": b"pg_advisory_xact_lock_shared",
    "the question for transactions in flight": b"pg_prepared_xacts",
    "the snapshot": b"pg_export_snapshot",
    "the catalogue": b"pg_attribute",
    "the lock": b"pg_try_advisory_xact_lock",
    "the reader's login": b"lakefeed reader\0",
    "the reader's snapshot": b"set transaction snapshot",
    "the read": b"COPY (",
}


@pytest.fixture(scope="module")
def shared(source: Database, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A lake that declares a table of 40 MB."""
    source.execute(
        "create table big (id int primary key, pad text, at timestamptz not null default now())",
        f"insert into big select i, repeat(md5(i::text), 20) from generate_series(1, {ROWS}) i",
    )
    lake = new_lake(tmp_path_factory.mktemp("silence")).declare("big: {cursor: at}")
    assert lake.command("sync", LAKEFEED_TEST_URL=source.url).returncode == 0
    return lake


@pytest.fixture
def network(source: Database) -> Iterator[Network]:
    """A network that forwards to the source until it falls silent."""
    between = Network(source.url)
    yield between
    between.close()
    source.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name like 'lakefeed%' and datname = current_database()"
    )


def load_through(network: Network, lake: Lake, command: tuple[str, ...] = COMMAND) -> Started:
    return start(
        lake,
        "load",
        command=command,
        LAKEFEED_TEST_URL=network.url,
        LAKEFEED_SILENT_AFTER_SECONDS=str(SILENT_AFTER_SECONDS),
    )


def assert_ended_and_tried_again(run: Started, lake: Lake) -> None:
    """The run ends by itself, says why, and doesn't block the next run."""
    ended = run.ended()
    assert ended.code == 3, ended.told
    assert "the connection to `shop` went silent" in ended.told
    assert "run again" in ended.told
    assert "Traceback" not in ended.told
    assert lake.raw("shop__big", "id") == []
    assert only(lake.load()).rows_written == ROWS


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_load_ends_whichever_statement_goes_silent(
    network: Network, copied: Lake, statement: bytes
) -> None:
    network.falls_silent_at = statement

    assert_ended_and_tried_again(load_through(network, copied), copied)
    assert network.is_silent


@pytest.mark.at_night
@pytest.mark.parametrize("forgets", [False, True], ids=["for all", "for those there are"])
@pytest.mark.parametrize("backend", ["chosen", "psycopg2"])
def test_a_load_ends_if_the_silence_begins_among_its_rows(
    network: Network, copied: Lake, forgets: bool, backend: str
) -> None:
    if backend == "psycopg2":
        copied.declare("big: {cursor: at, backend: psycopg2}")
    network.falls_silent_after, network.forgets = 5_000_000, forgets

    assert_ended_and_tried_again(load_through(network, copied), copied)
    assert network.is_silent


@pytest.mark.at_night
def test_the_process_ends_if_the_system_exposes_no_sockets(network: Network, copied: Lake) -> None:
    """As on macOS, which has no such time-out."""
    network.falls_silent_after = 5_000_000
    elsewhere = (
        "import socket; del socket.TCP_USER_TIMEOUT; from lakefeed.cli.main import main; main()"
    )

    ended = load_through(network, copied, ("-c", elsewhere)).ended()

    assert ended.code == 1, ended.told
    assert "error: the connection to `shop` went silent" in ended.told
    assert only(copied.load()).rows_written == ROWS


def test_a_stopped_server_on_a_local_socket_is_given_up(
    server_folder: Path, source: Database, copied: Lake
) -> None:
    source.execute("create or replace view slow as select 1 as id, pg_sleep(60)::text as x")
    copied.declare("slow: {mode: full_refresh}")
    postmaster = psutil.Process(int((server_folder / "postmaster.pid").read_text().split()[0]))
    run = start(copied, "load", LAKEFEED_SILENT_AFTER_SECONDS=str(SILENT_AFTER_SECONDS))
    run.until(lambda: source.rows("select 1 from pg_stat_activity where wait_event = 'PgSleep'"))
    stopped = [postmaster, *postmaster.children(recursive=True)]
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        ended = run.ended()
    finally:
        # A worker that has ended is gone as soon as its postmaster continues.
        for process in stopped:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    assert ended.code == 3, ended.told
    assert "the server doesn't answer a new connection either" in ended.told


def test_a_busy_server_is_waited_for(network: Network, source: Database, copied: Lake) -> None:
    source.execute("create or replace view slow as select 1 as id, pg_sleep(9)::text as x")
    copied.declare("slow: {mode: full_refresh}")

    ended = load_through(network, copied).ended()

    assert ended.code == 0, ended.told
    assert copied.raw("shop__slow", "id") == [(1,)]


def test_an_unanswered_login_ends_with_a_reason(network: Network, copied: Lake) -> None:
    network.falls_silent_at = b"user\0"

    ended = load_through(network, copied).ended()

    assert ended.code == 3, ended.told
    assert "`shop`" in ended.told


@pytest.mark.parametrize(
    "command",
    [("load",), ("audit",), ("check", "--connect"), ("prune", "--erase", "shop.big", "1")],
)
def test_control_c_ends_a_wait_for_a_silent_connection(
    network: Network, copied: Lake, command: tuple[str, ...]
) -> None:
    network.falls_silent_at = b"pg_try_advisory" if "prune" in command else b"pg_index"
    started = start(copied, *command, LAKEFEED_TEST_URL=network.url)

    assert_interrupted(started.until(lambda: network.is_silent).end_by(signal.SIGINT))


def test_a_session_of_a_killed_run_does_not_block_the_next_run(
    network: Network, copied: Lake
) -> None:
    network.falls_silent_after = 5_000_000
    run = start(copied, "load", LAKEFEED_TEST_URL=network.url)
    run.until(lambda: network.is_silent).end_by(signal.SIGKILL)

    report = only(copied.load())

    assert report.rows_written == ROWS
    assert "ended a session that a dead run had left behind" in report.notes[0]


def test_a_query_of_a_killed_run_soon_ends_on_the_server(source: Database, copied: Lake) -> None:
    """Within ten seconds it looks whether anybody is still there."""
    source.execute("create or replace view slow as select 1 as id, pg_sleep(60)::text as x")
    copied.declare("slow: {mode: full_refresh}")
    asleep = "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
    run = start(copied, "load").until(lambda: source.rows(asleep))

    run.end_by(signal.SIGKILL)

    limit = time.monotonic() + 30
    while source.rows(asleep):
        assert time.monotonic() < limit
        time.sleep(0.2)
