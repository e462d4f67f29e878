"""Loads recover from interruptions and from lost files."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from lakefeed.orchestration.project.init import write_scaffold
from tests.conftest import Database, Lake, failure, only

pytestmark = [pytest.mark.builds, pytest.mark.at_night]

T = (
    "create table t (id int primary key, note text, at timestamptz default clock_timestamp())",
    "insert into t values (1, 'a'), (2, 'b')",
)


def test_a_lost_working_directory_is_rebuilt_from_raw(database: Database, lake: Lake) -> None:
    database.execute(*T)
    checkpoint = only(lake.declare("t: {cursor: at}").load()).checkpoint
    shutil.rmtree(lake.root / "data" / ".dlt")
    database.execute("insert into t values (3, 'c')")

    report = only(lake.load())

    assert (report.checkpoint_before, report.rows_written) == (checkpoint, 1)


def test_a_lost_raw_folder_is_reported_and_loaded_again_from_the_beginning(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()
    shutil.rmtree(lake.root / "data" / "raw")

    report = only(lake.load())

    assert report.notes == ("its raw files are gone, so it is loaded from the beginning",)
    assert [row[:2] for row in lake.raw("shop__t", "id, note")] == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("cursor", ["at", "{column: at, initial_value: 2026-01-01}"])
def test_a_table_that_has_always_been_empty_has_lost_nothing(
    database: Database, lake: Lake, cursor: str
) -> None:
    database.execute(T[0])
    lake.declare(f"t: {{cursor: {cursor}}}").load()

    assert only(lake.load()).notes == ()


def test_a_deleted_warehouse_is_rebuilt_from_raw(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    lake.project.warehouse.unlink()

    lake.run()

    assert lake.query("select count(*) from staging.stg_shop__t") == [(2,)]


def test_a_state_that_an_earlier_version_uploaded_is_not_read_and_is_pruned(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()
    states = lake.root / "data/raw/shop__t/_dlt_pipeline_state"
    states.mkdir()
    state = states / "shop__t__9999999999.1__abc.jsonl"
    state.write_text('{"half')
    shutil.rmtree(lake.root / "data" / ".dlt")
    database.execute("insert into t values (3, 'c')")

    assert only(lake.load()).rows_written == 1
    assert lake.command("prune").returncode == 0

    assert not state.exists()


def test_dlt_uploads_no_state(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()

    folders = {path.name for path in (lake.root / "data/raw/shop__t").iterdir() if path.is_dir()}

    assert folders == {"t", "_dlt_loads", "_dlt_version", "_lakefeed_loads", "_lakefeed_profiles"}


def test_a_raw_folder_that_a_killed_load_has_just_created_does_not_block_the_next_load(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    (lake.root / "data/raw/shop__t").mkdir(parents=True)

    assert only(lake.declare("t: {cursor: at}").load()).rows_written == 2


def test_a_load_package_that_dlt_was_killed_while_removing_does_not_block_the_next_load(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()
    remains = lake.root / "data/.dlt/pipelines/shop__t/normalize/extracted/1760000000.5"
    remains.mkdir(parents=True)
    (remains / "schema.json").write_text("{}")
    database.execute("insert into t values (3, 'c')")

    assert only(lake.load()).rows_written == 1

    assert not remains.exists()


def test_a_second_load_of_a_table_that_is_being_loaded_is_refused(
    database: Database, lake: Lake
) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").load()
    database.execute("insert into t values (3, 'c')")
    with FileLock(lake.root / "data" / "locks" / "shop__t.lock"):
        ended = lake.command("load")

    assert ended.returncode == 1
    assert "shop.t is already being loaded by another run" in ended.stdout


def test_concurrent_runs_duplicate_no_rows(database: Database, lake: Lake) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}")
    command = [sys.executable, "-m", "lakefeed.cli.main", "run"]
    runs = [
        subprocess.Popen(command, cwd=lake.root, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    outputs = [run.communicate()[0] for run in runs]

    assert {run.returncode for run in runs} <= {0, 1}, outputs
    assert 0 in {run.returncode for run in runs}, outputs
    assert lake.raw("shop__t", "id") == [(1,), (2,)]
    lake.run()
    assert lake.query("select id from staging.stg_shop__t order by id") == [(1,), (2,)]


def test_a_lost_connection_does_not_move_the_checkpoint(database: Database, lake: Lake) -> None:
    database.execute(*T, "create view slow as select id, pg_sleep(9)::text as x from t")
    lake.declare("slow: {mode: full_refresh}")
    run = subprocess.Popen(
        [sys.executable, "-m", "lakefeed.cli.main", "load"],
        cwd=lake.root,
        stdout=subprocess.PIPE,
        text=True,
    )
    reader = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'lakefeed shop__slow' and wait_event = 'PgSleep'"
        " and datname = current_database()"
    )
    while run.poll() is None and not database.rows(reader):
        pass
    output = run.communicate()[0]

    assert run.returncode == 1, output
    assert "terminating connection due to administrator command" in output
    assert lake.files("shop__slow") == []


def test_the_lake_can_move_to_another_folder(
    database: Database, lake: Lake, tmp_path_factory: object
) -> None:
    database.execute(*T)
    lake.declare("t: {cursor: at}").run()
    moved = Lake(Path(shutil.move(lake.root, lake.root.with_name("moved"))))
    database.execute("insert into t values (3, 'c')")

    assert only(moved.run()).rows_written == 1
    assert moved.query("select count(*) from staging.stg_shop__t") == [(3,)]


def test_a_query_that_runs_too_long_is_stopped_by_the_server(
    database: Database, lake: Lake
) -> None:
    database.execute("create view slow as select 1 as id, pg_sleep(20)::text as x")

    message = failure(lake.declare("slow: {mode: full_refresh, max_query_time: 1s}").load())

    assert "canceling statement due to statement timeout" in message
    assert "max_query_time" in message


def test_a_table_locked_by_another_session_fails_in_time_and_the_next_run_loads_it(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefeed.source.connections.session_settings.LOCK_TIMEOUT_SECONDS", 1)
    database.execute(*T, "create table other (id int primary key)")
    holder = database.connect()
    holder.cursor().execute("lock table t in access exclusive mode")
    lake.declare("t: {mode: full_refresh}\nother: {mode: full_refresh}")

    report = lake.load()

    assert "lock timeout" in failure(report)
    assert "another session holds a lock on public.t" in failure(report)
    assert report.tables[1].error is None
    holder.close()
    assert only(lake.load("shop.t")).rows_written == 2


def test_a_partly_written_file_is_never_read(database: Database, lake: Lake) -> None:
    """As on a full disk."""
    database.execute(*T, "insert into t select i, md5(i::text) from generate_series(3, 200000) i")
    lake.declare("t: {cursor: at}")
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000));"
        "sys.argv = ['lakefeed', 'load']; from lakefeed.cli.main import main; main()"
    )

    ended = subprocess.run(
        [sys.executable, "-c", limited],
        cwd=lake.root, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == 1, ended.stdout
    assert "the file exceeds the size that this process may write" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    assert lake.raw("shop__t", "id") == []
    assert only(lake.load()).rows_written == 200_000
    assert len(lake.raw("shop__t", "id")) == 200_000


SLOW = "create view slow as select id, pg_sleep(2)::text as x from t"


def start_load(lake: Lake) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lakefeed.cli.main", "load"],
        cwd=lake.root,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for_reader(database: Database) -> None:
    asleep = "select from pg_stat_activity where wait_event = 'PgSleep' and datname = %s"
    while not database.rows(asleep.replace("%s", "current_database()")):
        pass


def test_a_second_load_on_another_machine_is_refused(
    database: Database, lake: Lake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two project folders share only the raw layer."""
    database.execute(*T, SLOW)
    elsewhere = Lake(tmp_path_factory.mktemp("elsewhere"))
    write_scaffold(elsewhere.root)
    for one in (lake, elsewhere):
        one.declare("slow: {mode: full_refresh}")
        declared = (one.root / "sources.yaml").read_text()
        (one.root / "sources.yaml").write_text(f"raw: {{url: {lake.root}/shared}}\n{declared}")
    running = start_load(lake)
    wait_for_reader(database)

    here, there = failure(lake.load()), failure(elsewhere.load())

    assert "shop.slow is already being loaded by another run" in here
    assert f"process {running.pid} on {socket.gethostname()}, since 20" in here
    assert f"To end it: kill {running.pid}" in here
    holder = database.rows(
        "select pid from pg_locks where locktype = 'advisory' and mode = 'ExclusiveLock'"
        " and database = (select oid from pg_database where datname = current_database())"
    )[0][0]
    assert "shop.slow is already being loaded by another run: session" in there
    assert f"session {holder} in the source, from a local socket, since 20" in there
    assert "wait for that run to finish; nothing was read" in there
    assert f"select pg_terminate_backend({holder})" in there
    assert running.wait() == 0
    assert only(elsewhere.load()).status == "unchanged"


def test_a_load_that_lost_its_lock_commits_nothing(database: Database, lake: Lake) -> None:
    database.execute(*T, SLOW)
    running = start_load(lake.declare("slow: {mode: full_refresh}"))
    wait_for_reader(database)
    database.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'lakefeed snapshot' and datname = current_database()"
    )

    output = running.communicate()[0]

    assert running.returncode == 1, output
    assert "shop.slow lost its lock" in output
    assert lake.files("shop__slow") == []
    assert "finished load" in only(lake.load()).notes[0]
    assert lake.raw("shop__slow", "id") == [(1,), (2,)]
