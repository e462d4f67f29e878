"""Loads by the log: each change once, with exact values, whatever the source does meanwhile."""

from __future__ import annotations

from contextlib import closing

import pytest

from lakefeed.loading.log.held_slot import end_of_log
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.source.log.lsn import parse_lsn
from tests.conftest import Database, Lake
from tests.wal.conftest import NAME, Declare

CHANGES = "id, word, _wal_operation, _deleted_at is not null, _wal_lsn is not null"
LONG = "repeat(md5(random()::text), 2000)"


def newest(lake: Lake, columns: str = "id, word") -> list[tuple[object, ...]]:
    """The rows of `t` that raw has in the end, by load and by place in the log."""
    order = "_dlt_load_id::double, coalesce(_wal_lsn, 0), coalesce(_wal_position, 0)"
    rows = lake.raw("shop__t", f"id, ({order}), _deleted_at, {columns}", effective=True)
    found = {}
    for key, _place, deleted_at, *values in sorted(rows, key=lambda row: row[1]):
        found[key] = None if deleted_at else tuple(values)
    return sorted(values for values in found.values() if values)


def loaded(lake: Lake, *select: str) -> Lake:
    """The lake after a load in which nothing failed."""
    report = lake.load(*select)
    assert report.exit_code == 0, report.failures
    return lake


def test_each_change_since_the_first_load_is_a_version_in_raw(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text)", "insert into t values (1, 'a'), (2, 'b')"
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))

    logical_database.execute(
        "insert into t values (3, 'c')",
        "update t set word = 'bb' where id = 2",
        "update t set word = 'bbb' where id = 2",
        "delete from t where id = 1",
    )
    loaded(lake)

    assert lake.raw("shop__t", CHANGES) == [
        (1, "a", "delete", True, True),
        (1, "a", None, False, False),
        (2, "b", None, False, False),
        (2, "bb", "update", False, True),
        (2, "bbb", "update", False, True),
        (3, "c", "insert", False, True),
    ]


def test_a_load_without_changes_writes_nothing_and_advances_the_slot(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute("create table t (id int primary key)", "create table other (n int)")
    lake = loaded(declare("t: {cursor: wal}", "t"))
    before = slot(logical_database)
    logical_database.execute("insert into other values (1)")

    report = lake.load()

    assert [table.status for table in report.tables] == ["unchanged"]
    assert slot(logical_database) > before


def test_a_slot_stays_where_it_is_until_all_tables_are_committed(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key)", "create table u (id int primary key)"
    )
    lake = loaded(declare("t: {cursor: wal}\nu: {cursor: wal}", "t", "u"))
    loaded(lake)
    before = slot(logical_database)
    logical_database.execute("insert into t values (1)", "insert into u values (1)")

    lake.load("shop.t")
    assert slot(logical_database) == before

    loaded(lake)
    assert slot(logical_database) > before
    assert len(lake.raw("shop__t")) == len(lake.raw("shop__u")) == 1


def test_an_update_that_leaves_long_values_alone_keeps_them(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text, long text, longer text)",
        f"insert into t values (1, 'a', {LONG}, {LONG}), (2, 'b', {LONG}, null)",
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))

    logical_database.execute(
        "update t set word = 'aa' where id = 1",
        f"update t set longer = {LONG} where id = 1",
        "update t set word = 'aaa' where id = 1",
        "update t set word = 'bb' where id = 2",
        f"insert into t values (3, 'c', {LONG}, {LONG})",
        "update t set word = 'cc' where id = 3",
    )
    loaded(lake)

    columns = "id, word, long, longer"
    assert newest(lake, columns) == logical_database.rows(f"select {columns} from t order by 1")


def test_a_row_whose_key_changes_keeps_its_long_values(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text, long text)",
        f"insert into t select n, 'row ' || n, {LONG} from generate_series(1, 4) as n",
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))

    logical_database.execute(
        # Each row takes the key that another one had, and moves on, in one load.
        "update t set id = 10 where id = 1",
        "update t set id = 1 where id = 2",
        "update t set id = 11, word = 'moved' where id = 10",
        "update t set word = 'stays' where id = 1",
        "update t set id = 12 where id = 11",
        "update t set id = id + 100 where id < 5",
    )
    loaded(lake)

    columns = "id, word, long"
    assert newest(lake, columns) == logical_database.rows(f"select {columns} from t order by 1")


def test_a_tombstone_repeats_the_last_values_of_its_row(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute("create table t (id int primary key, word text)")
    lake = loaded(declare("t: {cursor: wal}", "t"))

    logical_database.execute(
        "insert into t values (1, 'a')",
        "update t set word = 'aa' where id = 1",
        "delete from t where id = 1",
    )
    loaded(lake)

    assert (1, "aa", "delete", True, True) in lake.raw("shop__t", CHANGES)


def test_a_truncate_removes_all_rows_that_existed(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text)", "insert into t values (1, 'a'), (2, 'b')"
    )
    lake = loaded(declare("t: {cursor: wal, max_shrink: 100%}", "t"))

    logical_database.execute(
        "insert into t values (3, 'c')",
        "delete from t where id = 2",
        "truncate t",
        "insert into t values (1, 'new'), (4, 'd')",
        "truncate t",
        "insert into t values (4, 'dd')",
    )
    loaded(lake)

    assert newest(lake) == [(4, "dd")]
    truncated = [row for row in lake.raw("shop__t", CHANGES) if row[2] == "truncate"]
    assert [(row[0], row[1]) for row in truncated] == [(1, "a"), (1, "new"), (3, "c"), (4, "d")]


def test_a_load_that_would_empty_the_table_is_refused_until_it_is_allowed(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text)", "insert into t values (1, 'a')"
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))
    logical_database.execute("truncate t")

    (refused,) = lake.load().failures
    assert "had 1 row and now has none" in str(refused.error)

    assert lake.load(allow_shrink=True).exit_code == 0
    assert newest(lake) == []


def test_with_deletes_ignored_no_tombstone_is_written(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text)", "insert into t values (1, 'a'), (2, 'b')"
    )
    lake = loaded(declare("t: {cursor: wal, deletes: ignore}", "t"))

    logical_database.execute("delete from t where id = 1", "update t set id = 3 where id = 2")
    loaded(lake)

    assert lake.raw("shop__t", "id, word, _wal_operation") == [
        (1, "a", None),
        (2, "b", None),
        (3, "b", "insert"),
    ]


def test_transactions_that_a_first_load_shows_are_not_loaded_again(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute("create table t (id int primary key, word text)")
    lake = declare("t: {cursor: wal}", "t")
    logical_database.execute("insert into t values (1, 'before')")
    late = logical_database.connect()
    late.cursor().execute("insert into t values (2, 'late')")

    loaded(lake)
    late.commit()
    loaded(lake)

    assert lake.raw("shop__t", "id, word, _wal_operation") == [
        (1, "before", None),
        (2, "late", "insert"),
    ]


def test_the_end_of_the_log_comes_after_what_an_open_transaction_has_written(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute("create table t (id int primary key)")
    project = lake.declare("t: {cursor: wal}").project
    with closing(logical_database.connect()) as writing:
        writing.cursor().execute("insert into t values (1)")
        ((inserted,),) = logical_database.rows("select pg_current_wal_insert_lsn()::text")
        # Nobody else commits meanwhile, so the server has no reason to flush it.
        with connect(connection_of(project, "shop"), "lakefeed log") as session:
            assert end_of_log(session, has_all=True) >= parse_lsn(inserted)


def test_a_table_that_is_added_later_begins_where_the_log_is(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text)", "create table u (id int primary key)"
    )
    lake = loaded(declare("u: {cursor: wal}", "u", "t"))
    logical_database.execute("insert into t values (1, 'a')", "insert into u values (1)")
    loaded(lake)
    lake.declare("t: {cursor: wal}\nu: {cursor: wal}")
    loaded(lake)
    logical_database.execute("insert into t values (2, 'b')", "insert into u values (2)")
    loaded(lake)

    assert lake.raw("shop__t", "id, word, _wal_operation") == [(1, "a", None), (2, "b", "insert")]
    assert lake.raw("shop__u", "id") == [(1,), (2,)]


def test_a_rolled_back_transaction_leaves_nothing(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute("create table t (id int primary key, word text)")
    lake = loaded(declare("t: {cursor: wal}", "t"))
    session = logical_database.connect()
    with session.cursor() as cursor:
        cursor.execute("insert into t values (1, 'a'); savepoint s; insert into t values (2, 'b')")
        cursor.execute("rollback to s; insert into t values (3, 'c')")
    session.commit()
    with session.cursor() as cursor:
        cursor.execute("insert into t values (4, 'd')")
    session.rollback()

    loaded(lake)

    assert newest(lake) == [(1, "a"), (3, "c")]


def test_rows_of_an_attached_partition_are_read(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int, word text, day int, primary key (id, day)) "
        "partition by list (day)",
        "create table t_1 partition of t for values in (1)",
        "insert into t values (1, 'a', 1)",
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))
    logical_database.execute(
        "create table t_2 (id int, word text, day int not null, primary key (id, day))",
        "insert into t_2 values (2, 'before', 2), (3, 'before', 2)",
        "alter table t attach partition t_2 for values in (2)",
        "create table t_3 partition of t for values in (3)",
        "insert into t values (4, 'c', 3), (5, 'after', 2)",
        "update t set word = 'changed' where id = 3",
        "update t set word = 'aa' where id = 1",
    )

    loaded(lake)

    assert newest(lake) == logical_database.rows("select id, word from t order by 1")


def test_a_column_with_a_default_has_its_values_in_all_rows(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text)", "insert into t values (1, 'a')"
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))
    logical_database.execute(
        "insert into t values (2, 'b')",
        "alter table t add column size int default 7",
        "insert into t values (3, 'c', 8)",
    )

    loaded(lake)
    logical_database.execute("update t set size = 9 where id = 1")
    loaded(lake)

    columns = "id, word, size"
    assert newest(lake, columns) == logical_database.rows(f"select {columns} from t order by 1")


def test_an_empty_new_column_does_not_have_the_table_read_again(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text)", "insert into t values (1, 'a')"
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))
    logical_database.execute(
        "alter table t add column size int",
        "alter table t drop column word",
        "insert into t values (2)",
    )

    loaded(lake)

    assert lake.raw("shop__t", "id, _wal_operation") == [(1, None), (2, "insert")]


def test_the_checkpoint_is_a_position_in_the_log(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute("create table t (id int primary key)")
    lake = loaded(declare("t: {cursor: wal}", "t"))
    logical_database.execute("insert into t values (1)")

    (table,) = lake.load().tables

    (position,) = logical_database.rows(
        f"select '{table.checkpoint}'::pg_lsn <= pg_current_wal_lsn()"
    )
    assert position == (True,)


def slot(database: Database) -> int:
    """The position that the slot has confirmed."""
    ((position,),) = database.rows(
        "select (confirmed_flush_lsn - '0/0')::bigint from pg_replication_slots "
        f"where slot_name = '{NAME}' and database = current_database()"
    )
    return int(position)


@pytest.mark.parametrize("deletes", ["remove", "mark"])
def test_a_full_refresh_goes_on_from_the_log_afterwards(
    logical_database: Database, declare: Declare, deletes: str
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text)", "insert into t values (1, 'a'), (2, 'b')"
    )
    lake = loaded(declare(f"t: {{cursor: wal, deletes: {deletes}}}", "t"))
    logical_database.execute(
        "update t set word = 'aa' where id = 1", "insert into t values (3, 'c')"
    )
    assert lake.load(full_refresh=True).exit_code == 0
    logical_database.execute("update t set word = 'aaa' where id = 1")
    loaded(lake)
    loaded(lake)

    assert newest(lake) == [(1, "aaa"), (2, "b"), (3, "c")]
    assert len(lake.raw("shop__t")) == 6
