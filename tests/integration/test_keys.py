"""Keys: which columns form one, over which rows it is unique, and when two keys are equal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from lakefeed.declaration.project import open_project
from lakefeed.lab.scratch import LAB_SCHEMA, prepare_table
from lakefeed.loading.plan.queries import size_query
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.checks.check import check_connected
from lakefeed.orchestration.project.init import init_project
from lakefeed.source.connections.connection import connection_from_url
from lakefeed.source.connections.sessions import connect
from lakefeed.source.inspection.tables import (
    column_facts,
    count_rows,
    estimated_sizes,
    inspect_tables,
)
from tests.conftest import Database, Lake, failure, new_database

pytestmark = pytest.mark.builds


def keys_of(database: Database, table: str = "t") -> tuple[tuple[str, ...], set[tuple[str, ...]]]:
    """The primary key, and the sets of columns with a unique constraint."""
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
def test_a_key_has_the_columns_of_its_constraint_without_included_ones(
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
def test_partial_invalid_and_expression_indexes_do_not_count_as_keys(
    database: Database, index: str
) -> None:
    database.execute("create table t (a int, b int)", "insert into t values (1, 2), (3, 2)")
    try:
        database.execute(index)
    except psycopg2.errors.UniqueViolation:
        assert "concurrently" in index

    assert keys_of(database) == ((), set())


def test_a_key_that_some_partitions_lack_does_not_count(database: Database) -> None:
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


def test_only_a_complete_index_that_starts_with_the_cursor_serves_it(
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
        live = inspect_tables(session, ["public"])["public.t"]
        facts = column_facts(session, [live])["public.t"]

    assert [name for name in names if facts[name].indexed] == ["first", "ranged"]


@pytest.mark.by_day(1)
@pytest.mark.parametrize("declared", ["cursor: at", "cursor: xmin", "mode: full_refresh"])
def test_a_lake_loaded_with_included_columns_in_its_key_is_corrected(
    database: Database, lake: Lake, declared: str
) -> None:
    """Earlier versions counted the included columns of an index as part of its key."""
    database.execute(
        "create table t (id int, state text, at timestamptz default now(),"
        " primary key (id) include (state))",
        "insert into t values (1, 'a'), (2, 'b')",
    )
    lake.declare(f"t: {{{declared}, primary_key: [id, state]}}").load()
    database.execute("update t set state = 'z', at = clock_timestamp() where id = 1")
    lake.run()
    (table,) = lake.declare(f"t: {{{declared}}}").run().tables

    assert "the key was id, state and is id" in " ".join(table.notes) or "full" in declared
    assert lake.query("select id, state from staging.stg_shop__t order by id") == [
        (1, "z"),
        (2, "b"),
    ]
    assert audit(lake.project, ()).exit_code == 0
    assert lake.run().tables[0].status == "unchanged"


NOW = "2026-05-05 12:00Z"


@pytest.mark.by_day(4)
@pytest.mark.parametrize(
    ("kind", "values", "declared"),
    [
        ("text", ("a", "b", "b"), "cursor: at"),
        ("text", ("a", "b", "b"), "cursor: at, lookback: 30d"),
        ("text", ("a", "b", "b"), "cursor: xmin"),
        ("text", ("a", "b", "b"), "cursor: at, backend: psycopg2"),
        ("text", ("a", "b", "b"), "cursor: at, deletes: mark"),
        ("text", ("a", "b", "b"), "cursor: {column: at, initial_value: 2020-01-01}"),
        ("numeric", ("1", "2", "2.00"), "cursor: at"),
        ("interval", ("1 h", "1 day", "24:00"), "cursor: at"),
        ("double precision", ("1", "0", "-0"), "cursor: at"),
        ("bytea", (r"\x00", r"\x41ff", r"\x41ff"), "cursor: at"),
        ("timestamptz", ("infinity", "0044-03-15 12:00Z BC", "0044-03-15 12:00Z BC"), "cursor: at"),
        ("inet", ("10.0.0.1", "10.0.0.0/8", "10.0.0.0/8"), "cursor: at"),
    ],
)
def test_two_rows_with_the_same_declared_key_are_refused_in_one_load_or_in_two(
    database: Database, lake: Lake, kind: str, values: tuple[str, str, str], declared: str
) -> None:
    other, old, new = values
    database.execute(
        f"create table t (id int primary key, code {kind}, at timestamptz)",
        f"insert into t values (2, '{old}', '2025-01-01Z'), (3, '{other}', '{NOW}')",
    )
    lake.declare(f"t: {{{declared}, primary_key: [code]}}").load()
    database.execute(f"insert into t values (4, '{new}', '{NOW}')")

    assert "`primary_key: [code]` of shop.t isn't unique: 2 rows share (" in failure(lake.load())


@pytest.mark.parametrize(
    "change",
    [
        "update t set word = 'changed', at = now() where code = 'a'",
        "delete from t where code = 'a'; insert into t values (3, 'a', 'again', now())",
        "insert into t values (3, 'c', 'new', now())",
        "insert into t values (0, 'a', 'left out', now())",
        "insert into t values (3, 'A', 'other case', now())",
    ],
)
def test_rows_that_have_a_key_one_after_another_are_not_refused(
    database: Database, lake: Lake, change: str
) -> None:
    database.execute(
        "create table t (id int, code text, word text, at timestamptz)",
        f"insert into t values (1, 'a', 'w', '2025-01-01Z'), (2, 'b', 'w', '{NOW}')",
    )
    lake.declare("t: {cursor: at, primary_key: code, where: id > 0}").load()
    database.execute(change)

    assert lake.load().exit_code == 0


def test_duplicates_are_found_in_loads_with_many_keys(
    database: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lakefeed.loading.extract.key_check._MOST_KEYS", 2)
    database.execute(
        "create table t (a int, b text, at timestamptz)",
        "insert into t select i, 'w', '2025-01-01Z' from generate_series(1, 9) i",
    )
    lake.declare("t: {cursor: at, primary_key: [a, b]}").load()
    database.execute("insert into t select i, 'w', now() from generate_series(9, 12) i")

    assert "2 rows share (9, w)" in failure(lake.load())


@pytest.mark.parametrize(
    ("constraint", "kept"),
    [
        ("unique (code)", True),
        ("unique (code) deferrable", True),
        ("unique (id) include (code)", False),
        ("unique (code, id)", False),
    ],
)
def test_a_unique_index_on_columns_of_a_declared_key_proves_it_unique(
    database: Database, lake: Lake, constraint: str, kept: bool
) -> None:
    database.execute(f"create table t (id int, code text, at timestamptz, {constraint})")
    (table,) = lake.declare("t: {cursor: at, primary_key: [code, at]}").project.tables
    with connect(connection_from_url("shop", database.url), "test") as session:
        live = inspect_tables(session, ["public"])["public.t"]

    assert plan_table(table, live).is_kept_unique == kept


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            "(1, null), (2, 2)",
            "`primary_key: [a, b]` of shop.t contains nulls: `b` is null in 1 row, "
            "such as (a: 1, b: null)\n",
        ),
        (
            "(1, null), (2, null), (null, 3)",
            "`a` is null in 1 row and `b` is null in 2 rows, such as (a:",
        ),
        ("(null, null), (2, 2)", "`a` is null in 1 row and `b` is null in 1 row, such as"),
    ],
)
@pytest.mark.parametrize("constraint", ["unique nulls not distinct (a, b)", "check (true)"])
def test_a_null_in_a_key_is_reported_as_null(
    database: Database, lake: Lake, constraint: str, rows: str, message: str
) -> None:
    database.execute(
        f"create table t (a int, b int, at timestamptz default now(), {constraint})",
        f"insert into t values {rows}",
    )

    assert message in failure(lake.declare("t: {cursor: at, primary_key: [a, b]}").load())


def test_nulls_in_a_key_are_counted_in_the_source_instead_of_the_load(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table t (a int, at timestamptz)",
        "insert into t values (1, '2025-01-01Z'), (2, '2026-01-01Z')",
    )
    lake.declare("t: {cursor: at, primary_key: a}").load()
    database.execute(
        "insert into t values (null, '2025-06-01Z'), (null, '2025-07-01Z'), (null, now())"
    )

    assert "`a` is null in 3 rows, such as (a: null)" in failure(lake.load())


PARENT = (
    "create table parent (id int primary key, word text, at timestamptz not null)",
    "create table child (extra text, primary key (id)) inherits (parent)",
    "create table grandchild (more text, primary key (id)) inherits (child)",
    f"insert into parent select i, 'p', '{NOW}' from generate_series(1, 3) i",
    f"insert into child select i, 'c', '{NOW}', 'e' from generate_series(11, 13) i",
    f"insert into grandchild select i, 'g', '{NOW}', 'e', 'm' from generate_series(21, 23) i",
)


@pytest.mark.parametrize("heir", ["child", "grandchild"])
@pytest.mark.parametrize("later", [False, True])
def test_a_key_is_checked_across_a_table_and_its_child_tables(
    database: Database, lake: Lake, heir: str, later: bool
) -> None:
    database.execute(*PARENT)
    lake.declare("parent: {cursor: at}")
    if later:
        assert lake.load().exit_code == 0
        assert len(lake.raw("shop__parent")) == 9
    database.execute(f"insert into {heir} (id, word, at) values (2, 'other', '2027-01-01Z')")

    message = failure(lake.load())

    assert "the primary key (id) of shop.parent isn't unique: 2 rows share (2)" in message
    assert "read the table without them (`only: true`)" in message


@pytest.mark.parametrize(
    "declared",
    [
        "cursor: at",
        "cursor: xmin",
        "mode: full_refresh",
        "cursor: at, deletes: remove",
        "cursor: at, backend: psycopg2",
    ],
)
def test_a_table_can_be_read_without_its_child_tables(
    database: Database, lake: Lake, declared: str
) -> None:
    database.execute(*PARENT, "insert into child (id, at) values (2, now())")
    lake.declare(f"parent: {{{declared}, only: true, max_shrink: 50%}}").load()
    database.execute(
        "update parent set word = 'new', at = now() where id in (1, 11)",
        "delete from only parent where id = 2",
        "insert into grandchild (id, at) values (4, now())",
    )
    lake.load()

    rows = lake.raw("shop__parent", "id, word")
    kept = [] if "refresh" in declared or "remove" in declared else [(2, "p")]
    assert {(1, "new"), (3, "p"), *kept} <= set(rows)
    assert {id for id, _ in rows} == {1, 2, 3}


def test_an_edit_of_only_makes_the_table_read_in_full(database: Database, lake: Lake) -> None:
    database.execute(*PARENT)
    both = lake.declare("parent: {cursor: at}").load().tables[0]
    alone = lake.declare("parent: {cursor: at, only: true}").run().tables[0]
    staged = lake.query("select id from staging.stg_shop__parent order by id")
    again = lake.load().tables[0]
    back = lake.declare("parent: {cursor: at}").load().tables[0]

    assert [one.rows_written for one in (both, alone, again, back)] == [9, 3, 0, 9]
    assert staged == [(1,), (2,), (3,)]
    assert "child tables are now excluded" in " ".join(alone.notes)
    assert "child tables are now included" in " ".join(back.notes)


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        ("create table t (id int, at timestamptz) partition by list (id)", "partitioned table"),
        ("create view t as select 1 as id, now() as at", "view"),
        ("create materialized view t as select 1 as id, now() as at", "materialized view"),
    ],
)
def test_only_is_refused_for_relations_without_child_tables(
    database: Database, lake: Lake, made: str, kind: str
) -> None:
    database.execute(made)

    message = failure(lake.declare("t:\n  cursor: at\n  primary_key: id\n  only: true").load())

    assert f"sources.yaml:9: `only` doesn't apply to shop.t: it is a {kind}" in message
    assert "remove `only`" in message


def test_sizes_and_ranges_exclude_child_tables_that_are_not_read(
    database: Database, lake: Lake
) -> None:
    database.execute(
        "create table t (id int primary key, word text)",
        "create table u () inherits (t)",
        "insert into t select i, repeat('w', 2000) from generate_series(1, 10) i",
        "insert into u select i, repeat('w', 2000) from generate_series(11, 1000) i",
    )
    sizes = {}
    with connect(connection_from_url("shop", database.url), "test") as session:
        live = inspect_tables(session, ["public"])["public.t"]
        for only in ("true", "false"):
            lake.declare(f"t: {{mode: full_refresh, only: {only}}}")
            plan = plan_table(lake.project.tables[0], live)
            with session.cursor() as cursor:
                cursor.execute(size_query(plan))
                sizes[only] = cursor.fetchone()
        name = live.qualified
        choices: list[list[str]] = [[name], []]
        rows = [count_rows(session, [live], alone=alone)[name] for alone in choices]
        sizes_of = [estimated_sizes(session, [live], alone=alone)[name] for alone in choices]

    assert sizes["true"] < (100_000, 10)
    assert sizes["false"] > (1_000_000, 100)
    assert rows == [10, 1000]
    assert sizes_of[0][1] < 500_000 < sizes_of[1][1]


def test_check_and_init_name_the_child_tables_of_a_table(
    database: Database, lake: Lake, tmp_path: Path
) -> None:
    database.execute(*PARENT)
    report = init_project(tmp_path / "new", database.url, "shop", ("public",))
    declared = open_project(tmp_path / "new").tables
    warnings = "\n".join(check_connected(lake.declare("parent: {cursor: at}").project).warnings)

    assert {table.name: table.settings.only for table in declared} == {
        "parent": True,
        "child": True,
        "grandchild": False,
    }
    assert (
        "parent: read without the tables that inherit from it, since its primary key isn't "
        "enforced across them" in " ".join(map(": ".join, report.warnings))
    )
    assert "read together with the tables that inherit from it (child)" in warnings


def test_the_lab_copies_keys_and_rows_as_declared(
    database: Database, lake: Lake, server_url: str
) -> None:
    """Without included columns in keys, and without the rows of child tables."""
    made = (
        "create table t (id int, state text, at timestamptz, primary key (id) include (state))",
        "create table heir (primary key (id)) inherits (t)",
    )
    scratch = new_database(server_url)
    scratch.execute(*made, f"create schema {LAB_SCHEMA}")
    database.execute(
        *made,
        f"insert into t select i, 's', '{NOW}' from generate_series(1, 4) i",
        f"insert into heir select i, 's', '{NOW}' from generate_series(5, 9) i",
    )
    (table,) = lake.declare("t: {cursor: at}").project.tables
    with connect(connection_from_url("shop", database.url), "test") as session:
        live = inspect_tables(session, ["public"])["public.t"]
    plan = plan_table(replace(table, catalogue=live), live)
    source, target = database.connect(), scratch.connect()

    prepared = prepare_table(source, target, plan, 1, 100)

    assert prepared.changeable == ("state",)
    assert scratch.rows(f"select count(*) from {prepared.copied}") == [(4,)]
    source.close()
    target.close()
