"""Prune and erasure in an object store: nothing is left, neither there nor in copies of it."""

from __future__ import annotations

import shutil

import pytest

from tests.conftest import Database, Lake
from tests.faults.die_at import die
from tests.integration.test_erase import files_with

CANARY = "Otto-of-the-canaries"

pytestmark = [pytest.mark.engines, pytest.mark.at_night]


@pytest.fixture
def people(database: Database, store_lake: Lake) -> Lake:
    """Twelve loads of small files; one person has left the source."""
    database.execute(
        "create table people (id int primary key, name text, at timestamptz default now())",
        f"insert into people values (1, 'Ada'), (42, '{CANARY}')",
    )
    lake = store_lake.declare("people: {cursor: at, history: true}")
    assert lake.run().exit_code == 0
    for number in range(2, 13):
        database.execute(f"insert into people values ({number}, 'n', clock_timestamp())")
        assert lake.load().exit_code == 0
    database.execute("delete from people where id = 42")
    assert lake.run().exit_code == 0
    return lake


def test_an_erased_row_is_nowhere_left(people: Lake) -> None:
    assert len(files_with(people, CANARY)) >= 3

    done = people.command("prune", "--erase", "shop.people", "42")

    assert done.returncode == 0, done.stderr
    assert files_with(people, CANARY) == []
    assert people.query("select count(*) from staging.stg_shop__people") == [(12,)]


def test_prune_compacts_files_and_the_next_run_goes_on(people: Lake, database: Database) -> None:
    before = people.raw("shop__people", "id, name")

    done = people.command("prune")
    database.execute("insert into people values (70, 'last')")
    report = people.run()

    assert done.returncode == 0, done.stderr
    assert len(people.files("shop__people")) == 2
    assert people.raw("shop__people", "id, name") == sorted([*before, (70, "last")])
    assert report.exit_code == 0, report
    assert people.query("select count(*) from staging.stg_shop__people") == [(14,)]


def test_a_machine_without_any_local_state_goes_on(people: Lake, database: Database) -> None:
    for name in (".dlt", ".raw", ".duckdb", "locks"):
        shutil.rmtree(people.root / "data" / name, ignore_errors=True)
    database.execute("insert into people values (70, 'last')")

    report = people.run()

    assert report.exit_code == 0, report
    assert len(people.raw("shop__people")) == 14
    assert people.query("select count(*) from staging.stg_shop__people") == [(14,)]


@pytest.mark.parametrize(
    ("target", "moment"),
    [
        ("lakefeed.loading.maintenance.rewrite:put", "after"),
        ("lakefeed.loading.raw.commit_log:CommitLog.redescribe", "after"),
        ("lakefeed.loading.maintenance.expire:remove_file", "after"),
    ],
)
def test_a_killed_erasure_can_be_finished(people: Lake, target: str, moment: str) -> None:
    others = people.raw("shop__people", "id, name")
    others = [row for row in others if row[0] != 42]

    die(people, target, moment, "prune", "--erase", "shop.people", "42")
    assert people.run().exit_code == 0
    assert people.command("prune", "--erase", "shop.people", "42").returncode == 0

    assert files_with(people, CANARY) == []
    assert people.raw("shop__people", "id, name") == others


@pytest.mark.parametrize(
    ("target", "moment"),
    [
        ("lakefeed.loading.maintenance.rewrite:put", "after"),
        ("lakefeed.loading.raw.commit_log:CommitLog.redescribe", "after 3"),
        ("lakefeed.loading.maintenance.rewrite:remove_file", "after 2"),
    ],
)
def test_a_killed_compaction_can_be_finished(people: Lake, target: str, moment: str) -> None:
    before = people.raw("shop__people", "id, name")

    die(people, target, moment, "prune")
    assert people.raw("shop__people", "id, name") == before
    assert people.command("prune").returncode == 0

    assert len(people.files("shop__people")) == 1
    assert people.raw("shop__people", "id, name") == before
