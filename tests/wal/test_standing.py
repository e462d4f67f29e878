"""Where the log may lack changes, the table says so, and a full refresh makes it whole."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread

import pytest

from lakefeed.loading.log import run_log
from lakefeed.loading.log.held_slot import held_slot
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.source.connections.connection import connection_of
from tests.conftest import Database, Lake
from tests.wal.conftest import NAME
from tests.wal.test_loading import loaded, newest, slot

pytestmark = pytest.mark.builds

SLOT = f"select pg_create_logical_replication_slot('{NAME}', 'pgoutput')"
NO_SLOT = f"select pg_drop_replication_slot('{NAME}')"
ADVANCED = f"select pg_replication_slot_advance('{NAME}', pg_current_wal_lsn())"


@pytest.fixture
def lake(lake: Lake, logical_database: Database) -> Lake:
    """A table whose changes were loaded once."""
    logical_database.execute(
        "create table t (id int primary key, word text)",
        "insert into t values (1, 'a')",
        f"create publication {NAME} for table t",
        SLOT,
    )
    loaded(lake.declare("t: {cursor: wal}"))
    logical_database.execute("update t set word = 'aa' where id = 1")
    return loaded(lake)


def noted(lake: Lake, table: str) -> str:
    """The position that is noted of a table in raw."""
    positions = Path(lake.project.raw.url, "_lakefeed_wal.shop.json")
    return str(json.loads(positions.read_text())["tables"][table]["lsn"])


def failure(lake: Lake) -> str:
    """Why the only table fails."""
    (failed,) = lake.load().failures
    return str(failed.error)


def test_a_missing_slot_is_named(logical_database: Database, lake: Lake) -> None:
    logical_database.execute(NO_SLOT)

    assert failure(lake) == (
        f"sources.yaml:6: shop.t is read by the log, but the replication slot `{NAME}` doesn't "
        "exist\n  lakefeed cdc setup --source shop"
    )


@pytest.mark.parametrize("what", ["made anew", "advanced by someone else"])
def test_a_slot_that_begins_later_is_refused_until_the_table_is_read_in_full(
    logical_database: Database, lake: Lake, what: str
) -> None:
    logical_database.execute("insert into t values (2, 'lost')")
    if what == "made anew":
        logical_database.execute(NO_SLOT, SLOT)
    else:
        logical_database.execute(ADVANCED)
    logical_database.execute("insert into t values (3, 'kept')")

    assert "shop.t can't go on from the log: the slot" in failure(lake)
    assert newest(lake) == [(1, "aa")]

    assert lake.load(full_refresh=True).exit_code == 0
    logical_database.execute("insert into t values (4, 'd')")
    loaded(lake)
    assert newest(lake) == logical_database.rows("select * from t order by 1")


def test_a_paused_table_does_not_hold_the_slot(logical_database: Database, lake: Lake) -> None:
    logical_database.execute(
        "create table u (id int primary key)", f"alter publication {NAME} add table u"
    )
    loaded(lake.declare("t: {cursor: wal}\nu: {cursor: wal}"))
    lake.declare("t: {cursor: wal, enabled: false}\nu: {cursor: wal}")
    before = slot(logical_database)
    logical_database.execute("insert into t values (2, 'b')", "insert into u values (1)")
    loaded(lake)
    assert slot(logical_database) > before

    lake.declare("t: {cursor: wal}\nu: {cursor: wal}")

    (failed,) = lake.load().failures
    assert "left the table behind" in str(failed.error)
    assert lake.load("shop.t", full_refresh=True).exit_code == 0
    assert newest(lake) == [(1, "aa"), (2, "b")]


def test_a_table_that_fails_holds_the_slot_until_max_wal_is_reached(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute(
        "create table u (id int primary key)", f"alter publication {NAME} add table u"
    )
    declared = "t: {cursor: wal, max_shrink: 0%}\nu: {cursor: wal}"
    loaded(lake.declare(declared))
    loaded(lake)
    before = slot(logical_database)
    logical_database.execute("delete from t", "insert into u values (1)")

    report = lake.load()
    assert [table.name for table in report.failures] == ["shop.t"]
    assert slot(logical_database) == before

    logical_database.execute(
        "create table elsewhere as select repeat(md5(n::text), 50) from generate_series(1, 3000) n"
    )
    lake.declare(declared, head="    wal: {max_wal: 1 MB}\n")
    report = lake.load()
    assert "the slot leaves it behind" in " ".join(report.warnings)
    assert slot(logical_database) > before


def test_positions_that_are_gone_are_those_of_the_newest_loads(
    logical_database: Database, lake: Lake
) -> None:
    assert noted(lake, "shop__t")
    Path(lake.project.raw.url, "_lakefeed_wal.shop.json").unlink()
    logical_database.execute("insert into t values (2, 'b')")

    # The slot may have been advanced beyond the newest load where later runs found nothing.
    loaded(lake)

    assert newest(lake) == [(1, "aa"), (2, "b")]


def test_another_run_that_reads_the_log_is_waited_for(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute("insert into t values (2, 'b')")
    said: list[str] = []
    reports: list[RunReport] = []
    second = Thread(target=lambda: reports.append(lake.load()))

    with held_slot(lake.project, connection_of(lake.project, "shop"), said.append, ["shop__t"]):
        second.start()
        second.join(3)
        assert second.is_alive()
    second.join(60)

    (report,) = reports
    assert report.exit_code == 0, report.failures
    assert "waiting for another run" in " ".join(report.warnings)
    assert newest(lake) == [(1, "aa"), (2, "b")]


PUBLISHED_AGAIN = {
    "taken out and added again": (
        f"alter publication {NAME} drop table t",
        "insert into t values (2, 'unseen')",
        f"alter publication {NAME} add table t",
    ),
    "in a publication that was made anew": (
        f"drop publication {NAME}",
        f"create publication {NAME} for table t",
        "insert into t values (2, 'b')",
    ),
    "in a publication that was altered": (
        f"alter publication {NAME} set (publish = 'insert')",
        "delete from t",
        f"alter publication {NAME} set (publish = 'insert, update, delete, truncate')",
    ),
}


@pytest.mark.parametrize("what", PUBLISHED_AGAIN)
def test_a_table_that_was_published_again_may_lack_changes(
    logical_database: Database, lake: Lake, what: str
) -> None:
    logical_database.execute(*PUBLISHED_AGAIN[what])

    said = failure(lake)
    assert "its publication was changed since the latest load, or it was added to it again" in said
    assert lake.load(full_refresh=True, allow_shrink=True).exit_code == 0
    logical_database.execute("insert into t values (3, 'c')")
    assert newest(loaded(lake)) == logical_database.rows("select * from t order by 1")


def test_a_first_load_waits_for_those_who_wrote_before_the_table_was_published_and_for_no_others(
    logical_database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefeed.loading.log.held_slot._OPEN_SECONDS", 1)
    logical_database.execute("create table u (id int primary key)")
    early, late = logical_database.connect(), logical_database.connect()
    early.cursor().execute("insert into u values (1)")
    logical_database.execute(f"alter publication {NAME} add table u")
    lake.declare("t: {cursor: wal}\nu: {cursor: wal}")

    (failed,) = lake.load().failures
    assert "can't be loaded for the first time yet" in str(failed.error)

    late.cursor().execute("insert into u values (2)")
    early.commit()
    loaded(lake)
    late.commit()
    assert loaded(lake).raw("shop__u", "id, _wal_operation") == [(1, None), (2, "insert")]


def test_a_change_without_the_rows_key_is_not_loaded(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute(
        "alter table t alter word set not null",
        "create unique index by_word on t (word)",
        "alter table t replica identity using index by_word",
        "delete from t where id = 1",
        "alter table t replica identity default",
    )

    assert "it has a change without the row's key" in failure(lake)
    assert lake.load(full_refresh=True, allow_shrink=True).exit_code == 0
    assert loaded(lake).raw("shop__t", "count(*)") == [(2,)]


def test_a_renamed_key_has_the_table_read_in_full(logical_database: Database, lake: Lake) -> None:
    logical_database.execute(
        "update t set word = 'b' where id = 1",
        "alter table t rename id to number",
        "insert into t values (2, 'c')",
    )

    loaded(lake)
    logical_database.execute("insert into t values (3, 'd')")
    loaded(lake)

    rows = lake.raw("shop__t", "number, word, _wal_operation")
    assert [row for row in rows if row[0]] == [(1, "b", None), (2, "c", None), (3, "d", "insert")]


def test_a_table_that_a_wildcard_matches_for_the_first_time_holds_the_slot(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute(
        "create table u (id int primary key)", f"alter publication {NAME} add table u"
    )
    loaded(lake.declare('"*": {cursor: wal}'))
    logical_database.execute("insert into u values (1)")

    loaded(lake)

    assert lake.raw("shop__u", "id, _wal_operation") == [(1, "insert")]


def test_a_backlog_of_one_table_is_read_in_pieces_and_leaves_the_others_where_they_are(
    logical_database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    logical_database.execute(
        "create table u (id int primary key)", f"alter publication {NAME} add table u"
    )
    loaded(lake.declare("t: {cursor: wal}\nu: {cursor: wal}"))
    loaded(lake)
    logical_database.execute(*(f"insert into u values ({number})" for number in range(3)))
    loaded(lake, "shop.t")
    monkeypatch.setattr(run_log, "MOST_BYTES", 1)
    before = noted(lake, "shop__t")

    counts = [len(loaded(lake).raw("shop__u"))]
    assert noted(lake, "shop__t") == before
    counts += [len(loaded(lake).raw("shop__u")) for _ in range(2)]

    assert counts == [1, 2, 3]
    assert newest(lake) == [(1, "aa")]


def test_a_table_that_had_another_cursor_does_not_keep_others_from_being_read_by_the_log(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute(
        "create table u (id int primary key, at timestamptz default now())",
        f"alter publication {NAME} add table u",
        "insert into u values (1)",
    )
    loaded(lake.declare("t: {cursor: wal}\nu: {cursor: at}"))
    lake.declare("t: {cursor: wal}\nu: {cursor: wal}")
    logical_database.execute("insert into t values (2, 'b')")

    loaded(lake, "shop.t")
    loaded(lake)

    assert newest(lake) == [(1, "aa"), (2, "b")]
    assert lake.raw("shop__u", "id") == [(1,), (1,)]
