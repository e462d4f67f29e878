"""Tables of every kind by the log: their identities, and what becomes of their columns."""

from __future__ import annotations

import pytest

from tests.conftest import Database, Lake
from tests.wal.conftest import NAME, Declare
from tests.wal.test_loading import LONG, loaded, newest

T = "create table t (id int primary key, word text not null, long text, size int)"


@pytest.mark.parametrize("identity", ["default", "full", "using index by_id"])
def test_a_table_is_read_by_each_identity_that_has_its_key(
    logical_database: Database, declare: Declare, identity: str
) -> None:
    logical_database.execute(
        T,
        "create unique index by_id on t (id)",
        f"alter table t replica identity {identity}",
        f"insert into t select n, 'row ' || n, {LONG}, n from generate_series(1, 4) as n",
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))

    logical_database.execute(
        "update t set word = 'changed' where id = 1",
        "update t set id = 20, word = 'moved' where id = 2",
        "update t set long = null where id = 3",
        "delete from t where id = 4",
    )
    loaded(lake)

    columns = "id, word, long, size"
    assert newest(lake, columns) == logical_database.rows(f"select {columns} from t order by 1")


@pytest.mark.parametrize("logical_database", [18], indirect=True)
def test_a_stored_generated_column_has_its_values_where_it_is_published(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute(
        "create table t (id int primary key, size int, "
        "twice int generated always as (2 * size) stored)",
        "insert into t values (1, 1), (2, 2)",
        f"create publication {NAME} for table t with (publish_generated_columns = stored)",
        f"select pg_create_logical_replication_slot('{NAME}', 'pgoutput')",
    )
    loaded(lake.declare("t: {cursor: wal}"))

    logical_database.execute("insert into t values (3, 3)", "update t set size = 5 where id = 1")
    loaded(lake)

    assert newest(lake, "id, size, twice") == [(1, 5, 10), (2, 2, 4), (3, 3, 6)]


@pytest.mark.by_day(3)
@pytest.mark.builds
@pytest.mark.parametrize(
    "change",
    [
        "alter table t alter size type bigint",
        "alter table t alter size type text using 'size ' || size",
        "alter table t alter size type int using size * 2",
        "alter table t rename word to name",
        "alter table t drop word",
        "alter table t drop size, add size int default 3",
        "alter table t add note text default 'none'",
    ],
)
def test_rows_are_those_of_the_source_after_each_change_of_columns(
    logical_database: Database, declare: Declare, change: str
) -> None:
    logical_database.execute(
        T, "insert into t select n, 'row ' || n, 'long', n from generate_series(1, 3) as n"
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))

    logical_database.execute(
        "update t set size = 7 where id = 1", change, "delete from t where id = 2"
    )
    loaded(lake)
    logical_database.execute("update t set long = 'longer' where id = 3")
    loaded(lake)

    ((columns,),) = logical_database.rows(
        "select string_agg(column_name, ', ' order by ordinal_position) "
        "from information_schema.columns where table_name = 't'"
    )
    assert newest(lake, columns) == logical_database.rows(f"select {columns} from t order by id")


def test_a_partition_that_is_truncated_by_itself_loses_its_rows(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(
        "create table t (id int primary key, word text) partition by range (id)",
        "create table t_0 partition of t for values from (0) to (10)",
        "create table t_1 partition of t for values from (10) to (20)",
        "insert into t values (1, 'a'), (11, 'b'), (12, 'c')",
    )
    lake = loaded(declare("t: {cursor: wal}", "t"))

    logical_database.execute("truncate t_0", "update t set word = 'bb' where id = 11")
    loaded(lake)

    assert newest(lake) == logical_database.rows("select id, word from t order by 1")


def test_a_recreated_table_is_read_in_full_and_says_so(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(T, "insert into t values (1, 'a'), (2, 'b')")
    lake = loaded(declare("t: {cursor: wal}", "t"))
    logical_database.execute("update t set word = 'aa' where id = 1")
    loaded(lake)
    logical_database.execute(
        "drop table t", T, "insert into t values (2, 'bb')", f"alter publication {NAME} add table t"
    )

    (table,) = lake.load().tables
    logical_database.execute("insert into t values (3, 'c')")
    loaded(lake)

    assert "the table was recreated or replaced since the last load" in " ".join(table.notes)
    assert newest(lake) == logical_database.rows("select id, word from t order by 1")


def test_a_frozen_table_keeps_the_slot_until_its_change_is_accepted(
    logical_database: Database, declare: Declare
) -> None:
    logical_database.execute(T, "insert into t values (1, 'a')")
    lake = loaded(declare("t: {cursor: wal, schema_changes: freeze}", "t"))
    logical_database.execute("alter table t add note text", "insert into t values (2, 'b')")

    (failed,) = lake.load().failures
    assert "is frozen, but its columns changed" in str(failed.error)

    assert lake.command("sync").returncode == 0
    logical_database.execute("insert into t values (3, 'c', null, null, 'new')")
    assert newest(loaded(lake), "id, note") == [(1, None), (2, None), (3, "new")]
