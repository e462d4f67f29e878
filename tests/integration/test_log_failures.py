"""What keeps the log from being read is said, with what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extras import LogicalReplicationConnection

from lakefeed.errors import LakefeedError, SourceUnreachable
from lakefeed.source.log.failure import SlotBusy, SlotMissing
from lakefeed.source.log.slots import advance, create_slot_sql, slot_of
from tests.conftest import Database, drop_with_slots, logical_server, new_database
from tests.integration.log import Log

pytestmark = pytest.mark.builds

on_both = pytest.mark.parametrize("logical_database", [18, 16], indirect=True)


@pytest.fixture
def log(logical_database: Database) -> Log:
    logical_database.execute("create table t (id int primary key)")
    return Log(logical_database).publish("t")


def refusal(log: Log) -> str:
    """What is said when the log can't be read."""
    with pytest.raises(LakefeedError) as refused, log.open("t") as changes:
        list(changes)
    assert refused.value.do
    return str(refused.value)


@on_both
def test_a_missing_slot(log: Log) -> None:
    log.drop_slot()

    assert f"there is no replication slot `{log.slot}`" in refusal(log)
    with closing(log.database.connect()) as session, pytest.raises(SlotMissing):
        advance(session, log.slot, 1)


def test_a_slot_that_another_session_reads(log: Log) -> None:
    other = psycopg2.connect(log.database.url, connection_factory=LogicalReplicationConnection)
    with closing(other), closing(other.cursor()) as cursor:
        cursor.start_replication(
            log.slot, options={"proto_version": 2, "publication_names": "published"}
        )
        pid = other.info.backend_pid

        assert f"is being read by the session with pid {pid}" in refusal(log)
        with closing(log.database.connect()) as session, pytest.raises(SlotBusy, match=str(pid)):
            advance(session, log.slot, log.end())


def test_a_slot_that_is_free_again_in_a_moment_is_waited_for(log: Log) -> None:
    log.database.execute("insert into t values (1)")
    other = psycopg2.connect(log.database.url, connection_factory=LogicalReplicationConnection)
    cursor = other.cursor()
    cursor.start_replication(
        log.slot, options={"proto_version": 2, "publication_names": "published"}
    )
    # The server needs a moment to notice.
    other.close()

    assert len(log.read("t")) == 1


@on_both
def test_a_missing_publication(log: Log) -> None:
    log.database.execute("drop publication published")

    assert "the publication `published` doesn't exist" in refusal(log)


@on_both
def test_a_publication_that_was_made_after_the_changes(log: Log) -> None:
    log.database.execute(
        "drop publication published",
        "insert into t values (1)",
        "create publication published for table t",
    )

    assert "or didn't when tables were changed" in refusal(log)


def test_slots_of_another_kind(log: Log) -> None:
    for create, said in (
        (f"pg_create_physical_replication_slot('{log.slot}')", "is a physical one"),
        (
            f"pg_create_logical_replication_slot('{log.slot}', 'pgoutput', twophase => true)",
            "shows prepared transactions",
        ),
    ):
        log.drop_slot()
        log.database.execute(f"select {create}")
        assert said in refusal(log)
    log.drop_slot()


def test_a_slot_of_another_database(log: Log, logical_servers: Callable[[int], Any]) -> None:
    server = logical_servers(18).get_uri()
    other = new_database(server)
    log.drop_slot()
    other.execute(create_slot_sql(log.slot))

    assert f"is of the database `{other.name}`" in refusal(log)
    drop_with_slots(Database(server), other.name)


@pytest.fixture
def reader(log: Log) -> Iterator[Database]:
    """The same database as a role without further rights."""
    name = f"r_{log.database.name}"
    log.database.execute(f"create role {name} login", f"grant select on t to {name}")
    yield Database(log.database.url.replace("postgres:@", f"{name}:@"))
    log.database.execute(f"drop owned by {name}", f"drop role {name}")


def as_role(log: Log, role: Database) -> Log:
    other = Log(role)
    other.slot = log.slot
    return other


@on_both
def test_a_role_without_the_right(log: Log, reader: Database) -> None:
    said = refusal(as_role(log, reader))

    assert "the role may not read the log of `shop`" in said
    assert "rds_replication" in said
    assert "with replication" in said


def test_a_role_with_the_right_needs_no_other(log: Log, reader: Database) -> None:
    log.database.execute(
        f"alter role r_{log.database.name} replication", "insert into t values (1)"
    )

    theirs = as_role(log, reader)
    with theirs.open("t") as changes:
        assert len(list(changes)) == 3
    assert theirs.advance(changes.position) == changes.position


@pytest.mark.parametrize("version", [18, 16])
def test_servers_whose_log_has_no_rows_and_lost_slots(tmp_path: Path, version: int) -> None:
    with logical_server(
        tmp_path / "postgres", version, max_slot_wal_keep_size="1MB", min_wal_size="32MB",
        max_wal_size="32MB", max_wal_senders=1,
    ) as server:  # fmt: skip
        database = Database(server.get_uri())
        database.execute("create table t (id int primary key)")
        log = Log(database).publish("t")

        with log.open("t"):
            assert "as many replication connections as `max_wal_senders` allows" in refusal(log)
        for _ in range(4):
            database.execute("insert into t values (1)", "delete from t", "select pg_switch_wal()")
        database.execute("checkpoint")
        said = refusal(log)
        assert f"the replication slot `{log.slot}` is lost" in said
        assert "wal_removed" in said
        with closing(database.connect()) as session:
            slot = slot_of(session, log.slot)
        assert slot is not None
        assert slot.is_lost

        log.drop_slot()
        database.execute("alter system set wal_level = 'replica'")
        server.stop()
        server.start()
        assert "`wal_level` is `replica`" in refusal(log)


def test_a_session_that_is_ended_while_it_is_read(tmp_path: Path) -> None:
    with logical_server(tmp_path / "postgres") as server:
        database = Database(server.get_uri())
        database.execute("create table t (id int primary key)")
        log = Log(database).publish("t")
        database.execute("insert into t select generate_series(1, 500000)")
        with pytest.raises(SourceUnreachable, match="was lost"), log.open("t") as changes:
            next(iter(changes))
            database.execute("select pg_terminate_backend(active_pid) from pg_replication_slots")
            list(changes)
        assert len(log.items("t")) == 500_002
