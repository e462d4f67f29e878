"""Committed changes are read from the log, whatever the transactions that made them did."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from lakefeed.source.log.rows import UNCHANGED
from tests.conftest import Database
from tests.integration.log import Log, shown, transactions

# Both versions of the wheel.
on_both = pytest.mark.parametrize("logical_database", [18, 16], indirect=True)
LARGE = 2000


@pytest.fixture
def log(logical_database: Database) -> Log:
    """A log with a table `t` in it."""
    logical_database.execute("create table t (id int primary key, note text)")
    return Log(logical_database).publish("t")


@contextmanager
def transaction(database: Database) -> Iterator[Any]:
    """Executes statements in a transaction that is committed when the block ends."""
    with closing(database.connect()) as session:
        with session.cursor() as cursor:
            # Changes beyond this are sent before they commit.
            cursor.execute("set logical_decoding_work_mem = '64kB'")
            yield cursor.execute
        session.commit()


@pytest.fixture
def streams(logical_database: Database) -> Iterator[None]:
    """Has the server send a transaction before it commits, once it has a few hundred changes."""
    logical_database.execute(
        f"alter role postgres in database {logical_database.name} "
        "set logical_decoding_work_mem = '64kB'"
    )
    yield


def insert(first: int, count: int = LARGE, table: str = "t") -> str:
    return (
        f"insert into {table} select i, repeat('x', 50) "
        f"from generate_series({first}, {first + count - 1}) as i"
    )


@on_both
def test_all_changes_of_a_transaction_come_in_their_order(logical_database: Database) -> None:
    logical_database.execute(
        "create table a (id int primary key, n int)", "create table b (id int primary key)"
    )
    log = Log(logical_database).publish("a", "b")
    with transaction(logical_database) as execute:
        execute("insert into a values (1, null), (2, 20)")
        execute("insert into b values (7)")
        execute("update a set n = 21 where id = 2")
        execute("delete from a where id = 1")
        execute("truncate b")

    items = log.items("a", "b")

    assert transactions(items) == [6]
    assert shown(items) == [
        ("a", "insert", ("1", None), None),
        ("a", "insert", ("2", "20"), None),
        ("b", "insert", ("7",), None),
        ("a", "update", ("2", "21"), None),
        ("a", "delete", None, ("1", UNCHANGED)),
        ("b", "truncate", None, None),
    ]


def test_transactions_come_in_the_order_of_their_commits(log: Log) -> None:
    with transaction(log.database) as first:
        first("insert into t values (1)")
        with transaction(log.database) as second:
            second("insert into t values (2)")

    items = log.items("t")

    assert [new for _, _, new, _ in shown(items)] == [("2", None), ("1", None)]
    begins = [items[0], items[3]]
    assert begins[0].commit_lsn < begins[1].commit_lsn  # type: ignore[union-attr]
    assert begins[0].xid > begins[1].xid  # type: ignore[union-attr]
    xids = log.database.rows("select xmin::text::bigint from t order by id")
    assert [(begin.xid,) for begin in reversed(begins)] == xids  # type: ignore[union-attr]


def test_a_change_of_the_key_tells_the_old_one(log: Log) -> None:
    log.database.execute("insert into t values (1, 'a')", "update t set id = 2")

    assert log.read("t")[1] == ("t", "update", ("2", "a"), ("1", UNCHANGED))


def test_replica_identity_full_tells_the_whole_old_row(log: Log) -> None:
    log.database.execute(
        "alter table t replica identity full",
        "insert into t values (1, 'a')",
        "update t set note = 'b'",
        "delete from t",
    )

    assert log.read("t")[1:] == [
        ("t", "update", ("1", "b"), ("1", "a")),
        ("t", "delete", None, ("1", "b")),
    ]


def test_a_replica_identity_by_an_index_tells_its_columns(logical_database: Database) -> None:
    logical_database.execute(
        "create table u (a int primary key, b int not null, c int)",
        "create unique index u_b on u (b)",
        "alter table u replica identity using index u_b",
    )
    log = Log(logical_database).publish("u")
    logical_database.execute(
        "insert into u values (1, 2, 3)", "update u set b = 9", "delete from u"
    )

    assert log.read("u")[1:] == [
        ("u", "update", ("1", "9", "3"), (UNCHANGED, "2", UNCHANGED)),
        ("u", "delete", None, (UNCHANGED, "9", UNCHANGED)),
    ]


def test_a_table_without_replica_identity_shows_what_is_inserted(
    logical_database: Database,
) -> None:
    logical_database.execute("create table u (a int)")
    log = Log(logical_database).publish("u")
    logical_database.execute("insert into u values (1)", "truncate u")

    assert log.read("u") == [("u", "insert", ("1",), None), ("u", "truncate", None, None)]


@pytest.mark.parametrize("is_large", [False, True])
def test_a_long_value_that_an_update_left_alone_is_unchanged(
    log: Log, is_large: bool, streams: None
) -> None:
    log.database.execute(
        "alter table t alter note set storage external, add n int default 0",
        "insert into t select i, repeat('long', 2000) from generate_series(1, 500) as i",
    )
    log.advance(log.end())
    log.database.execute(f"update t set n = 1 where id <= {500 if is_large else 1}")

    changes = log.read("t")

    assert len(changes) == (500 if is_large else 1)
    assert changes[0] == ("t", "update", ("1", UNCHANGED, "1"), None)


@pytest.mark.parametrize("via_root", [True, False])
def test_partitions_come_as_they_are_published(logical_database: Database, via_root: bool) -> None:
    logical_database.execute(
        "create table whole (id int primary key) partition by range (id)",
        "create table low partition of whole for values from (0) to (10)",
        "create table high partition of whole for values from (10) to (20)",
        "create publication published for table whole "
        f"with (publish_via_partition_root = {via_root})",
    )
    log = Log(logical_database).create_slot()
    logical_database.execute(
        "insert into whole values (1), (11)", "update whole set id = 12 where id = 1"
    )

    names = ("whole", "whole") if via_root else ("low", "high")
    assert log.read("whole", "low", "high") == [
        (names[0], "insert", ("1",), None),
        (names[1], "insert", ("11",), None),
        # A row that moves to another partition is deleted in the first.
        (names[0], "delete", None, ("1",)),
        (names[1], "insert", ("12",), None),
    ]


@pytest.mark.parametrize("count", [1, LARGE])
def test_what_a_subtransaction_rolled_back_doesnt_come(log: Log, streams: None, count: int) -> None:
    with transaction(log.database) as execute:
        execute(insert(1, count))
        execute("savepoint a")
        execute(insert(10_001, count))
        execute("savepoint b")
        execute(insert(20_001, count))
        execute("release savepoint b")
        execute(insert(30_001, count))
        execute("rollback to savepoint a")
        execute(insert(40_001, count))
        execute("savepoint c")
        execute(insert(50_001, count))
        execute("rollback to savepoint c")
        execute(insert(60_001, count))

    items = log.items("t")

    assert transactions(items) == [3 * count]
    expected = [str(first + i) for first in (1, 40_001, 60_001) for i in range(count)]
    assert [new[0] for _, _, new, _ in shown(items)] == expected


@on_both
def test_large_transactions_at_the_same_time_dont_mix(log: Log, streams: None) -> None:
    with transaction(log.database) as first:
        for part in range(3):
            first(insert(1 + part * 10_000))
            with transaction(log.database) as second:
                second(insert(100_001 + part * 10_000))
        with closing(log.database.connect()) as third, third.cursor() as cursor:
            cursor.execute(insert(200_001))
            third.rollback()
        first("truncate t")

    items = log.items("t")

    assert transactions(items) == [LARGE] * 3 + [3 * LARGE + 1]
    ids = [int(new[0]) for _, _, new, _ in shown(items) if new]
    assert ids == [
        *(100_001 + part * 10_000 + i for part in range(3) for i in range(LARGE)),
        *(1 + part * 10_000 + i for part in range(3) for i in range(LARGE)),
    ]


@pytest.mark.parametrize("count", [1, LARGE])
def test_a_prepared_transaction_comes_when_it_is_committed(
    log: Log, streams: None, count: int
) -> None:
    name = log.database.name
    log.database.execute(f"begin; {insert(1, count)}; prepare transaction '{name}'")
    assert log.items("t") == []

    log.database.execute(f"commit prepared '{name}'")

    assert transactions(log.items("t")) == [count]


def test_each_change_has_the_columns_that_the_table_had_then(log: Log) -> None:
    log.database.execute(
        "insert into t values (1, 'a')",
        "alter table t add n int default 5",
        "insert into t values (2, 'b', 6)",
        "alter table t drop note",
        "insert into t values (3, 7)",
        "alter table t rename n to m",
        "insert into t values (4, 8)",
        "alter table t alter m type numeric(9, 2)",
        "insert into t values (5, 9)",
    )

    changes = [item for item in log.items("t") if hasattr(item, "relation")]

    columns = [[column.name for column in change.relation.columns] for change in changes]
    # Rows that `alter … type` writes anew aren't changes.
    assert columns == [["id", "note"], ["id", "note", "n"], ["id", "n"], ["id", "m"], ["id", "m"]]
    assert [change.new for change in changes][-2:] == [("4", "8"), ("5", "9.00")]
    last = changes[-1].relation.columns[-1]
    assert (last.type, last.modifier) == (1700, (9 << 16 | 2) + 4)


def test_a_large_transaction_may_change_its_own_table(log: Log, streams: None) -> None:
    with transaction(log.database) as execute:
        execute(insert(1))
        execute("savepoint a")
        execute("alter table t add n int")
        execute(insert(10_001))
        execute("rollback to savepoint a")
        execute(insert(20_001))
        execute("alter table t add m text default 'm'")
        execute("insert into t values (30001, 'y')")

    changes = log.read("t")

    # Here the server can't send it before it commits: it is read again from the commit.
    assert [len(new) for _, _, new, _ in changes] == [2] * 2 * LARGE + [3]
    assert changes[-1] == ("t", "insert", ("30001", "y", "m"), None)


def test_tables_that_arent_wanted_dont_come(logical_database: Database, streams: None) -> None:
    logical_database.execute(
        "create table a (id int primary key, note text)", "create table b (like a)"
    )
    log = Log(logical_database).publish("a", "b")
    logical_database.execute("insert into b values (1)", insert(1, table="b"), "truncate b")
    with transaction(logical_database) as execute:
        execute(insert(10_001, table="b"))
        execute("insert into a values (1)")

    items = log.items("a")

    assert transactions(items) == [1]
    assert shown(items) == [("a", "insert", ("1", None), None)]


def test_values_are_the_text_that_a_session_of_lakefeed_reads(logical_database: Database) -> None:
    values = (
        "1.5::float8, 0.1::float4, 'NaN'::numeric, '2026-01-02 03:04:05+02'::timestamptz,"
        " '2026-01-02'::date, interval '1 day 2 hours', '\\xdeadbeef'::bytea, true,"
        " array[1, null, 3], '{\"a\": 1.10}'::json, 'ä€𝄞'::text, ''::text,"
        " 'infinity'::timestamp, '[1,5)'::int4range, 12.50::money"
    )
    logical_database.execute(
        "create table u (id int primary key, a float8, b float4, c numeric, d timestamptz, e date,"
        " f interval, g bytea, h bool, i int[], j json, k text, l text, m timestamp, n int4range,"
        " o money)",
        f"alter database {logical_database.name} set datestyle = 'German'",
        f"alter database {logical_database.name} set timezone = 'Asia/Tokyo'",
        f"alter database {logical_database.name} set intervalstyle = 'iso_8601'",
        f"alter database {logical_database.name} set bytea_output = 'escape'",
        f"alter database {logical_database.name} set extra_float_digits = -5",
    )
    log = Log(logical_database).publish("u")
    logical_database.execute(f"insert into u values (1, {values})")

    ((_, _, new, _),) = log.read("u")

    assert new == (
        *("1", "1.5", "0.1", "NaN", "2026-01-02 01:04:05+00", "2026-01-02", "1 day 02:00:00"),
        *("\\xdeadbeef", "t", "{1,NULL,3}", '{"a": 1.10}', "ä€𝄞", "", "infinity", "[1,5)"),
        "$12.50",
    )


def test_the_end_is_found_at_once_where_nothing_happened(log: Log) -> None:
    end = log.end()

    began = time.monotonic()
    with log.open("t", upto=end) as changes:
        assert list(changes) == []

    assert changes.position == end
    assert time.monotonic() - began < 1


def test_what_commits_while_the_log_is_read_comes_with_the_next_read(log: Log) -> None:
    log.database.execute("insert into t values (1)")
    with log.open("t") as changes:
        log.database.execute("insert into t values (2)")
        assert [new for _, _, new, _ in shown(changes)] == [("1", None)]

    log.advance(changes.position)

    assert [new for _, _, new, _ in log.read("t")] == [("2", None)]


def test_an_open_transaction_doesnt_keep_the_end_from_being_found(log: Log) -> None:
    with closing(log.database.connect()) as session, session.cursor() as cursor:
        cursor.execute(insert(1, 50_000))
        # The log's writer ends in the middle of a record.
        time.sleep(0.5)
        began = time.monotonic()
        with log.open("t") as changes:
            assert list(changes) == []
        assert time.monotonic() - began < 2
        session.commit()

    log.advance(changes.position)

    assert transactions(log.items("t")) == [50_000]


def test_the_same_is_read_again_until_the_slot_is_advanced(log: Log, streams: None) -> None:
    log.database.execute("insert into t values (1)", insert(2), "delete from t")
    with log.open("t") as changes:
        first = list(changes)

    assert log.items("t") == first
    assert log.advance(changes.position) == changes.position
    assert log.items("t") == []


def test_a_read_that_begins_later_than_the_slot_leaves_out_what_was_before(log: Log) -> None:
    log.database.execute("insert into t values (1)")
    since = log.end()
    log.database.execute("insert into t values (2)")

    assert [new for _, _, new, _ in log.read("t", since=since)] == [("2", None)]


def test_a_read_ends_after_the_transaction_that_makes_it_large_enough(
    log: Log, streams: None
) -> None:
    for part in range(4):
        log.database.execute(insert(1 + part * 10_000, 10 if part < 2 else LARGE))
    # Ten such changes have some 900 bytes.
    seen: list[list[int]] = []
    for _ in range(5):
        with log.open("t", most_bytes=500) as changes:
            seen.append(transactions(changes))
        log.advance(changes.position)

    assert seen == [[10], [10], [LARGE], [LARGE], []]


def test_a_reader_that_is_busy_isnt_ended(log: Log) -> None:
    server = log.database
    server.execute(f"alter role postgres in database {server.name} set wal_sender_timeout = '1s'")
    server.execute(*(insert(1 + part * LARGE) for part in range(20)))

    count = 0
    with log.open("t") as changes:
        for item in changes:
            count += hasattr(item, "relation")
            if count == 1:
                time.sleep(3)

    assert count == 20 * LARGE


def test_nothing_is_left_on_the_server_by_a_reader_that_stops(log: Log, streams: None) -> None:
    log.database.execute(*(insert(1 + part * LARGE) for part in range(20)))
    with log.open("t") as changes:
        next(iter(changes))

    def active() -> list[tuple[Any, ...]]:
        return log.database.rows(
            f"select active_pid from pg_replication_slots where slot_name = '{log.slot}'"
        )

    until = time.monotonic() + 5
    while active() != [(None,)] and time.monotonic() < until:
        time.sleep(0.05)
    assert active() == [(None,)]
    assert transactions(log.items("t")) == [LARGE] * 20
