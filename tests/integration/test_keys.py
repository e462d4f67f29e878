"""What tells rows apart: which columns are a key, over which rows it holds, when two are equal."""

from __future__ import annotations

import psycopg2
import pytest

from pipelines.orchestration.audit import audit
from pipelines.source.connection import connect, connection_from_url
from pipelines.source.inspect import column_facts, inspect_tables
from tests.conftest import Database, Lake


def keys_of(database: Database, table: str = "t") -> tuple[tuple[str, ...], set[tuple[str, ...]]]:
    """The primary key, and the sets of columns that the database keeps unique."""
    with connect(connection_from_url("shop", database.url), "test") as session:
        found = inspect_tables(session, ["public"])[f"public.{table}"]
    return found.primary_key, set(found.unique)


@pytest.mark.parametrize(
    ("constraint", "primary", "unique"),
    [
        ("primary key (a) include (b)", ("a",), {("a",)}),
        ("primary key (b, a) include (c)", ("b", "a"), {("b", "a")}),
        ("primary key (a) deferrable initially deferred", ("a",), {("a",)}),
        ("unique (a, b) include (c)", (), {("a", "b")}),
        ("unique nulls not distinct (a, b)", (), {("a", "b")}),
        ("exclude using gist (daterange(null, null) with &&)", (), set()),
    ],
)
def test_a_key_is_the_columns_that_its_constraint_holds_unique(
    database: Database, constraint: str, primary: tuple[str, ...], unique: set[tuple[str, ...]]
) -> None:
    database.execute(f"create table t (a int, b int, c int, {constraint})")

    assert keys_of(database) == (primary, unique)


@pytest.mark.parametrize(
    "index",
    [
        "create unique index on t (a) where b > 0",
        "create unique index on t (abs(a))",
        "create unique index on t (a, abs(b))",
        "create index on t (a)",
        "create unique index concurrently on t (b)",
    ],
)
def test_an_index_of_some_rows_or_of_expressions_or_that_failed_holds_no_key(
    database: Database, index: str
) -> None:
    database.execute("create table t (a int, b int)", "insert into t values (1, 2), (3, 2)")
    try:
        database.execute(index)
    except psycopg2.errors.UniqueViolation:
        assert "concurrently" in index

    assert keys_of(database) == ((), set())


def test_a_key_that_some_partitions_lack_is_not_held(database: Database) -> None:
    database.execute(
        "create table t (a int) partition by list (a)",
        "create table t1 partition of t for values in (1)",
        "create unique index t_key on only t (a)",
    )
    before = keys_of(database)
    database.execute(
        "create unique index t1_key on t1 (a)", "alter index t_key attach partition t1_key"
    )

    assert (before, keys_of(database)) == (((), set()), ((), {("a",)}))


def test_only_an_index_that_begins_with_a_cursor_and_holds_all_rows_serves_it(
    database: Database,
) -> None:
    names = ("first", "second", "included", "partly", "hashed", "ranged")
    columns = ", ".join(f'"{name}" timestamptz' for name in names)
    database.execute(
        f"create table t ({columns})",
        "create index on t (first, second) include (included)",
        "create index on t (partly) where partly is not null",
        "create index on t using hash (hashed)",
        "create index on t using brin (ranged)",
    )
    with connect(connection_from_url("shop", database.url), "test") as session:
        facts = column_facts(session, inspect_tables(session, ["public"])["public.t"])

    assert [name for name in names if facts[name].indexed] == ["first", "ranged"]


@pytest.mark.parametrize("declared", ["cursor: at", "cursor: xmin", "mode: full_refresh"])
def test_a_lake_that_was_loaded_by_included_columns_too_is_put_right(
    database: Database, lake: Lake, declared: str
) -> None:
    """Earlier versions took the columns that an index includes for columns of its key."""
    database.execute(
        "create table t (id int, state text, at timestamptz default now(),"
        " primary key (id) include (state))",
        "insert into t values (1, 'a'), (2, 'b')",
    )
    lake.declare(f"t: {{{declared}, primary_key: [id, state]}}").load()
    database.execute("update t set state = 'z', at = clock_timestamp() where id = 1")
    lake.run()
    (table,) = lake.declare(f"t: {{{declared}}}").run().tables

    assert "its key was id, state and is id" in " ".join(table.notes) or "full" in declared
    assert lake.query("select id, state from staging.stg_shop__t order by id") == [
        (1, "z"),
        (2, "b"),
    ]
    assert audit(lake.project, ()).exit_code == 0
    assert lake.run().tables[0].status == "unchanged"
