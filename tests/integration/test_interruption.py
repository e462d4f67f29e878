"""Ctrl-C ends a command within seconds, whatever it waits for, and says truly what was done."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lakefeed.errors import LakefeedError
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.orchestration.checks.audit import at_one_snapshot
from tests.conftest import Database, Lake
from tests.started import Ended, Started, start

pytestmark = pytest.mark.builds

# The promise is five seconds; machines that run tests are busy.
MOST_SECONDS = 10
# A signal doesn't interrupt libpq.
IN_C = """
import psycopg2
from lakefeed.interruption import ending_in_time, what_was_done, note_done
with ending_in_time(lambda: what_was_done("nothing was done")):
    print("printed before")
    {done}
    psycopg2.connect(host="127.0.0.1", port={port}, dbname="any")
"""


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener


def start_in_c(server: socket.socket, done: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", IN_C.format(done=done, port=server.getsockname()[1])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_interrupted(ended: Ended, *, code: int = 130) -> None:
    assert ended.code == code, ended.told
    assert "interrupted" in ended.told
    assert "Traceback" not in ended.told
    assert ended.seconds < MOST_SECONDS


def sleeping(database: Database) -> list[tuple[object, ...]]:
    return database.rows(
        "select 1 from pg_stat_activity where wait_event = 'PgSleep'"
        " and application_name like 'lakefeed%' and datname = current_database()"
    )


def test_an_interrupted_read_is_cancelled_on_the_source(database: Database, lake: Lake) -> None:
    database.execute("create view slow as select 1 as id, pg_sleep(60)::text as x")
    lake.declare("slow: {mode: full_refresh}")

    ended = start(lake, "load").until(lambda: sleeping(database)).end_by(signal.SIGINT)

    assert_interrupted(ended)
    assert ended.told == "interrupted; tables that had finished loading stay loaded\n"
    assert sleeping(database) == []


@pytest.mark.parametrize(
    ("number", "code", "done", "words"),
    [
        (signal.SIGINT, 130, "", "nothing was done"),
        (signal.SIGTERM, 143, "note_done('this stays')", "this stays"),
    ],
)
def test_a_process_blocked_in_c_code_is_ended_and_its_output_is_kept(
    silent: socket.socket, number: signal.Signals, code: int, done: str, words: str
) -> None:
    process = start_in_c(silent, done)
    with silent.accept()[0]:
        process.send_signal(number)
        printed, told = process.communicate(timeout=MOST_SECONDS)

    assert process.returncode == code
    assert (printed, told) == ("printed before\n", f"{words}\n")


def test_a_second_ctrl_c_ends_the_process_at_once(silent: socket.socket) -> None:
    process = start_in_c(silent)
    with silent.accept()[0]:
        ended = Started(process).end_by(signal.SIGINT, times=2)

    assert ended.code == 130
    assert ended.seconds < 3


@pytest.mark.parametrize(
    "command",
    [
        ("init", "--connection", "{url}", "--project", "new"),
        ("check", "--connect"),
    ],
)
def test_a_command_that_waits_for_a_server_that_never_answers_can_be_interrupted(
    silent: socket.socket, lake: Lake, command: tuple[str, ...]
) -> None:
    url = f"postgresql://any:any@127.0.0.1:{silent.getsockname()[1]}/any"
    lake.declare("t: {cursor: at}")
    started = start(lake, *(part.format(url=url) for part in command), LAKEFEED_TEST_URL=url)
    with silent.accept()[0]:
        assert_interrupted(started.end_by(signal.SIGINT))


def test_no_session_is_opened_after_an_interrupt(database: Database, lake: Lake) -> None:
    """Else a table whose probe is cancelled goes on to its load, and is waited for again."""
    database.execute("create table t (id int primary key)")
    assert lake.declare("t: {mode: full_refresh}").load().exit_code == 0
    (table,) = lake.project.tables

    with at_one_snapshot(lake.project, "shop") as (source, live):
        source.interrupt()
        plan = plan_table(table, live.tables[table.qualified])

        with pytest.raises(LakefeedError, match="was interrupted"), source.session(plan):
            pass
