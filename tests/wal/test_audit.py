"""An audit compares staging with the source at a position in the log.

What the log has between the table's position and the audit's snapshot is pending, and nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from lakefeed.lab.writers import writing
from lakefeed.loading.log import run_log
from lakefeed.loading.log.held_slot import end_of_log
from lakefeed.orchestration.checks.audit import audit
from tests.conftest import Database, Lake
from tests.wal.conftest import NAME, Declare
from tests.wal.test_several_versions import T, run
from tests.wal.test_standing import ADVANCED

pytestmark = pytest.mark.builds


class Writer:
    """Somebody who inserts, updates, deletes and moves keys, without end."""

    def __init__(self, database: Database) -> None:
        self.database, self.choose, self.written = database, Random(7), 0

    def write(self) -> None:
        key, other = self.choose.randrange(300), self.choose.randrange(300)
        statement = self.choose.choice(
            [
                f"insert into t values ({key}, 'new') on conflict (id) do update set word = 'upd'",
                f"update t set word = word || '.' where id % 50 = {key % 50}",
                f"update t set id = {key} where id = {other} and not exists"
                f" (select from t where id = {key})",
                f"delete from t where id % 40 = {key % 40}",
                f"delete from t where id = {key}",
            ]
        )
        self.database.execute(statement)
        self.written += 1


@pytest.fixture
def lake(declare: Declare, logical_database: Database) -> Lake:
    """A table that was loaded and built."""
    logical_database.execute(*T)
    return run(declare("t: {cursor: wal, max_shrink: 100%}", "t"))


def audited(lake: Lake, code: int = 0) -> str:
    """What `lakefeed audit` prints."""
    ended = lake.command("audit")
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


def test_what_the_next_load_brings_is_pending_deletes_and_truncates_included(
    lake: Lake, logical_database: Database
) -> None:
    assert "2 rows equal" in audited(lake)

    logical_database.execute("update t set word = 'later' where id = 1", "delete from t where id=2")
    assert "2 pending" in audited(lake)

    logical_database.execute("truncate t", "insert into t values (9, 'new')")
    assert "3 pending" in audited(lake)

    run(lake)
    assert "1 row equal" in audited(lake)


def test_an_end_within_a_record_is_no_backlog(
    lake: Lake, logical_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server's disk has the beginning of a record whenever something is being written.
    monkeypatch.setattr(run_log, "end_of_log", lambda *given, **how: end_of_log(*given, **how) + 8)
    logical_database.execute("update t set word = 'later' where id = 1")

    (found,) = audit(lake.project, ()).tables

    assert found.is_clean, found
    assert found.pending == 1


def test_an_audit_among_writers_finds_nothing(lake: Lake, logical_database: Database) -> None:
    writer = Writer(logical_database)
    with writing([writer]):
        for _ in range(3):
            audited(lake)
            run(lake)
            audited(lake)

    assert writer.written > 20


@pytest.mark.parametrize(
    ("lost", "kind"),
    [
        ("update t set word = 'lost' where id = 1", "differing"),
        ("insert into t values (3, 'lost')", "missing"),
        ("delete from t where id = 1", "extra"),
    ],
)
def test_a_change_that_the_log_no_longer_has_is_found_however_new_it_is(
    lake: Lake, logical_database: Database, lost: str, kind: str
) -> None:
    run(lake)
    logical_database.execute(lost)
    pass_over(lake, logical_database)
    logical_database.execute("update t set word = 'pending' where id = 2")

    found = audited(lake, code=1)

    assert f"1 {kind}" in found
    assert "1 pending" in found


def pass_over(lake: Lake, database: Database) -> None:
    """Claims that what was written is in raw, and has the slot go on after it."""
    database.execute(ADVANCED)
    ((position,),) = database.rows(
        f"select confirmed_flush_lsn::text from pg_replication_slots where slot_name = '{NAME}' "
        "and database = current_database()"
    )
    noted = Path(lake.project.raw.url, "_lakefeed_wal.shop.json")
    positions = json.loads(noted.read_text())
    positions["tables"]["shop__t"]["lsn"] = position
    noted.write_text(json.dumps(positions))


def test_an_audit_leaves_the_slot_where_it_is(lake: Lake, logical_database: Database) -> None:
    confirmed = "select confirmed_flush_lsn from pg_replication_slots"
    logical_database.execute("update t set word = 'later' where id = 1")
    before = logical_database.rows(confirmed)

    audited(lake)

    assert logical_database.rows(confirmed) == before


def test_without_the_log_an_audit_says_why_it_cannot_tell(
    lake: Lake, logical_database: Database
) -> None:
    logical_database.execute(f"select pg_drop_replication_slot('{NAME}')")

    assert "the replication slot `lakefeed_shop` doesn't exist" in audited(lake, code=1)
