"""Several versions of a row in one load, as the log has them: models over raw and raw's readers."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import duckdb
import pytest

from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.orchestration.build.build import build_from_scratch
from tests.conftest import Database, Lake
from tests.wal.conftest import Declare

STAGED = "select id, word from staging.stg_shop__t order by id"
HISTORY = "history.hst_shop__t"
T = ("create table t (id int primary key, word text)", "insert into t values (1, 'a'), (2, 'b')")
# Each in a transaction of its own; those of row 3 in one.
CHANGES = (
    "update t set word = 'aa' where id = 1",
    "update t set word = 'aaa' where id = 1",
    "delete from t where id = 2",
    "insert into t values (2, 'back')",
    "do $$ begin insert into t values (3, 'c'); update t set word = 'cc' where id = 3; end $$",
    "update t set id = 4 where id = 3",
    "update t set word = word where id = 4",
)


def run(lake: Lake, **options: object) -> Lake:
    report = lake.run(**options)
    assert report.exit_code == 0, report
    return lake


def words(lake: Lake) -> list[tuple[object, ...]]:
    """All versions: the key, the word, whether it is current, and whether it was deleted."""
    return lake.query(
        f"select id, word, is_current, _was_deleted from {HISTORY} order by id, valid_from"
    )


def everything(lake: Lake) -> list[tuple[object, ...]]:
    return lake.query(f"select * exclude (_staged_batch) from {HISTORY} order by all")


@pytest.mark.builds
@pytest.mark.on_ducklake
def test_staging_has_the_last_change_and_history_every_committed_one(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(*T)
    lake = run(declare("t: {cursor: wal, history: true}", "t"))
    logical_database.execute(*CHANGES)
    run(lake)

    assert lake.query(STAGED) == logical_database.rows("select id, word from t order by id")
    assert words(lake) == [
        (1, "a", False, False),
        (1, "aa", False, False),
        (1, "aaa", True, False),
        (2, "b", False, True),
        (2, "back", True, False),
        (3, "cc", False, True),
        (4, "cc", True, False),
    ]
    grown = everything(lake)
    assert build_from_scratch(lake.project).exit_code == 0
    assert everything(lake) == grown


@pytest.mark.builds
def test_a_version_counts_from_its_commit_on(logical_database: Database, declare: Declare) -> None:
    logical_database.execute(*T)
    lake = run(declare("t: {cursor: wal, history: true}", "t"))
    logical_database.execute(*CHANGES)
    run(lake)

    committed = lake.raw("shop__t", "id, word, _wal_committed_at")
    found = lake.query(f"select id, word, valid_from from {HISTORY} where year(valid_from) > 1900")
    assert {row[:2] for row in found} >= {(1, "aa"), (1, "aaa"), (2, "back")}
    assert set(found) <= set(committed)


@pytest.mark.at_night
@pytest.mark.builds
@pytest.mark.on_ducklake(at_night=True)
def test_loads_that_were_staged_together_give_what_one_by_one_gives(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(*T)
    lake = run(declare("t: {cursor: wal, history: true, deletes: mark}", "t"))
    for number, change in enumerate(CHANGES):
        logical_database.execute(change)
        report = lake.run() if number % 2 else lake.load()
        assert report.exit_code == 0, report
    run(lake, full_refresh=True)
    logical_database.execute("update t set word = 'last'", "delete from t where id = 1")
    run(lake)

    assert lake.query(
        "select id, word, _deleted_at is not null from staging.stg_shop__t order by id"
    ) == [(1, "last", True), (2, "last", False), (3, "cc", True), (4, "last", False)]
    grown = everything(lake)
    assert build_from_scratch(lake.project).exit_code == 0
    assert everything(lake) == grown


@pytest.mark.builds
def test_trace_tells_which_change_won_and_why(logical_database: Database, declare: Declare) -> None:
    logical_database.execute(*T)
    lake = run(declare("t: {cursor: wal, history: true}", "t"))
    logical_database.execute(*CHANGES)
    run(lake)

    traced = json.loads(lake.command("trace", "shop.t", "1", "--json").stdout)
    assert [
        (version["values"]["word"], (version["change"] or {}).get("operation"), version["why"])
        for version in traced["versions"]
    ] == [
        ("a", None, f"load {traced['winner']} has a later change from the log"),
        ("aa", "update", "the same load has a later change from the log"),
        ("aaa", "update", "it is the last change in the log"),
    ]
    assert [(made["model"], made["total"]) for made in traced["made"]] == [
        ("stg_shop__t", 1),
        ("hst_shop__t", 3),
    ]
    third = json.loads(lake.command("trace", "shop.t", "3", "--json").stdout)
    assert [(version["standing"], version["why"]) for version in third["versions"]] == [
        ("replaced", "its transaction changed the row once more"),
        ("replaced", "the same load has a later change from the log"),
        ("deletes", "a tombstone, and the newest version: the row was deleted"),
    ]
    shown = lake.command("trace", "shop.t", "1").stdout
    assert "update at 0/" in shown


@pytest.mark.builds
def test_erasing_a_key_removes_all_of_its_versions_and_tombstones(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(*T)
    lake = run(declare("t: {cursor: wal, history: true}", "t"))
    logical_database.execute(*CHANGES)
    run(lake)
    others = [row for row in lake.raw("shop__t") if row[0] != 2]

    logical_database.execute("delete from t where id = 2")
    run(lake)
    erased = lake.command("prune", "--erase", "shop.t", "2")

    assert erased.returncode == 0, erased
    assert lake.raw("shop__t") == others
    assert all(row[0] != 2 for row in words(lake))


@pytest.mark.builds
def test_a_table_that_left_the_log_has_the_last_version_of_each_load(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(*T, "alter table t add at timestamptz default clock_timestamp()")
    lake = run(declare("t: {cursor: wal, history: true}", "t"))
    logical_database.execute(*CHANGES)
    run(lake)
    lake.declare("t: {cursor: at, history: true, deletes: remove}")
    logical_database.execute("update t set word = 'by time', at = clock_timestamp() where id = 1")
    run(lake)

    assert lake.query(STAGED) == [(1, "by time"), (2, "back"), (4, "cc")]
    assert words(lake) == [
        # By its own time, `a` was never there.
        (1, "aaa", False, False),
        (1, "by time", True, False),
        (2, "b", False, False),
        (2, "back", True, False),
        (4, "cc", True, False),
    ]
    grown = everything(lake)
    assert build_from_scratch(lake.project).exit_code == 0
    assert everything(lake) == grown


@pytest.mark.builds
def test_a_full_read_writes_one_tombstone_for_a_row_with_several_versions(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(*T)
    lake = declare("t: {cursor: wal, deletes: mark}", "t")
    assert lake.load().exit_code == 0
    logical_database.execute(*CHANGES)
    assert lake.load().exit_code == 0
    logical_database.execute("delete from t where id = 1")

    assert lake.load(full_refresh=True).exit_code == 0
    newest = CommitLog(lake.project.raw, "shop__t").loads()[-1]

    gone = lake.raw("shop__t", "id, word, _deleted_at is not null, _dlt_load_id")
    assert [row[:3] for row in gone if row[3] == newest.load_id] == [
        (1, "aaa", True),
        (2, "back", False),
        (3, "cc", True),
        (4, "cc", False),
    ]


def days_ago(days: float) -> dt.datetime:
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=days)


def date(lake: Lake, snapshots: list[float], commits: dict[str, float]) -> None:
    """Has the loads that raw holds, and the changes to these words, be so many days old."""
    log = CommitLog(lake.project.raw, "shop__t")
    for load, days in zip(log.loads(), snapshots, strict=True):
        log.redescribe(replace(load, snapshot_at=days_ago(days).isoformat()))
        for file in load.files:
            path = f"{log.folder}/{file}"
            dated = " ".join(f"when '{w}' then '{days_ago(d)}'" for w, d in commits.items())
            with duckdb.connect() as session:
                session.execute(
                    f"create table rows as select * replace (case when _wal_lsn is not null then "
                    f"case word {dated} end::timestamptz end as _wal_committed_at) "
                    f"from read_parquet('{path}', hive_partitioning = false);"
                    f"copy rows to '{path}' (format parquet)"
                )


@pytest.mark.at_night
@pytest.mark.builds
def test_retention_goes_by_the_time_of_the_commit_that_replaced_a_version(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(*T)
    lake = run(declare("t: {cursor: wal, retention: 90d, history: true}", "t"))
    for word in ("b", "c", "d", "e"):
        logical_database.execute(f"update t set word = '{word}' where id = 1")
    run(lake)
    commits = {"b": 100, "c": 95, "d": 50, "e": 20}

    date(lake, [200, 10], commits)
    assert lake.command("prune").returncode == 0
    # What the load of long ago has stays: it is what raw had by then, and for 80 days after.
    assert words_in_raw(lake) == ["a", "c", "d", "e"]
    run(lake)
    assert [row[1] for row in words(lake) if row[0] == 1] == ["a", "c", "d", "e"]

    date(lake, [200, 91], commits)
    assert lake.command("prune").returncode == 0
    assert words_in_raw(lake) == ["c", "d", "e"]
    assert "nothing to remove" in lake.command("prune").stdout
    assert lake.query(STAGED) == [(1, "e"), (2, "b")]


def words_in_raw(lake: Lake) -> list[object]:
    """What raw has of row 1."""
    return sorted(word for key, word in lake.raw("shop__t", "id, word") if key == 1)


def test_the_newest_rows_and_keys_of_one_load_are_those_of_the_last_changes(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(*T)
    lake = declare("t: {cursor: wal}", "t")
    assert lake.load().exit_code == 0
    logical_database.execute(*CHANGES)
    assert lake.load().exit_code == 0
    log = CommitLog(lake.project.raw, "shop__t")
    (table,) = lake.project.tables
    plan = plan_table(table, table.catalogue)
    rows = logical_database.rows("select id, word from t order by id")

    for loads in (log.loads(), log.loads()[1:]):
        latest = LatestRows.of(log, loads)
        with duckdb.connect() as session:
            newest = session.execute(latest.newest_rows(session, plan)).fetchall()
            keys = session.execute(latest.keys(session, plan)).fetchall()
        assert sorted(newest) == rows
        assert {row[0] for row in keys if row[2] is None} == {row[0] for row in rows}
        assert {row[0] for row in keys if row[2]} == {3}
        assert {row[1] for row in keys} == {len(loads)}
