"""Runs killed at any instruction load each change once: the slot is advanced after the commit."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import Database, Lake
from tests.faults.die_at import die
from tests.faults.test_killed import FILESYSTEM
from tests.wal.conftest import NAME
from tests.wal.test_loading import loaded, newest

RUN_LOG = "lakefeed.loading.log.run_log"
POINTS = [
    (f"{RUN_LOG}:changes_of", "after"),
    (f"{RUN_LOG}:RunLog._decode", "after"),
    ("lakefeed.loading.extract.log_reading:complete_changes", "after"),
    ("lakefeed.loading.extract.extract_table:_note", "after"),
    ("dlt:Pipeline.extract", "after"),
    ("lakefeed.loading.raw.commit_log:CommitLog.describe", "after"),
    (f"{FILESYSTEM}:FilesystemLoadJob.run", "after"),
    (f"{FILESYSTEM}:FilesystemClient._store_load", "before"),
    (f"{FILESYSTEM}:FilesystemClient._store_load", "after"),
    ("dlt:Pipeline.load", "after 2"),
    (f"{RUN_LOG}:write_positions", "before"),
    (f"{RUN_LOG}:write_positions", "after"),
    (f"{RUN_LOG}:advance", "before"),
    (f"{RUN_LOG}:advance", "after"),
]
BY_DAY = POINTS[5::3]

pytestmark = pytest.mark.faults


@pytest.fixture
def lake(logical_database: Database, lake: Lake) -> Lake:
    """Two tables that are read by the log, not loaded yet."""
    logical_database.execute(
        "create table t (id int primary key, word text)",
        "create table u (id int primary key, word text)",
        "insert into t select n, 'first' from generate_series(1, 10) as n",
        f"create publication {NAME} for table t, u",
        f"select pg_create_logical_replication_slot('{NAME}', 'pgoutput')",
    )
    return lake.declare("t: {cursor: wal}\nu: {cursor: wal}")


@pytest.mark.parametrize("working_directory", ["kept", "lost"])
@pytest.mark.parametrize(
    ("target", "moment"),
    [pytest.param(*p, marks=() if p in BY_DAY else pytest.mark.at_night) for p in POINTS],
)
def test_a_killed_load_is_completed_with_each_change_once(
    logical_database: Database, lake: Lake, target: str, moment: str, working_directory: str
) -> None:
    loaded(lake)
    logical_database.execute(
        "update t set word = 'second' where id <= 3",
        "delete from t where id = 4",
        "insert into u values (1, 'a')",
    )
    die(lake, target, moment)
    if working_directory == "lost":
        shutil.rmtree(lake.root / "data" / ".dlt")
    logical_database.execute("update t set word = 'third' where id = 3", "delete from u")

    report = lake.load(allow_shrink=True)

    assert report.exit_code == 0, report.failures
    assert newest(lake) == logical_database.rows("select id, word from t order by 1")
    assert len(lake.raw("shop__t")) == 10 + 5
    assert len(lake.raw("shop__u")) == 2


@pytest.mark.parametrize(
    ("target", "moment"),
    [
        (f"{FILESYSTEM}:FilesystemClient._store_load", "after"),
        pytest.param(
            "lakefeed.loading.extract.extract_table:_note", "after", marks=pytest.mark.at_night
        ),
        pytest.param(f"{RUN_LOG}:write_positions", "before", marks=pytest.mark.at_night),
    ],
)
def test_a_killed_first_load_goes_on_from_the_log(
    logical_database: Database, lake: Lake, target: str, moment: str
) -> None:
    die(lake, target, moment)
    logical_database.execute("update t set word = 'second' where id <= 3")

    loaded(lake)
    loaded(lake)

    assert newest(lake) == logical_database.rows("select id, word from t order by 1")
