"""What a publication publishes is read alike from each version of PostgreSQL."""

from __future__ import annotations

from contextlib import closing

import pytest

from lakefeed.source.replication.publications import (
    OPERATIONS,
    Publication,
    ReplicaIdentity,
    add_tables_sql,
    create_publication_sql,
    drop_publication_sql,
    drop_tables_sql,
    identities_of,
    publication_of,
)
from tests.conftest import Database

on_both = pytest.mark.parametrize("logical_database", [18, 16], indirect=True)


def read(database: Database, name: str = "p") -> Publication | None:
    with closing(database.connect()) as session:
        return publication_of(session, name)


def published(database: Database, name: str = "p") -> Publication:
    found = read(database, name)
    assert found is not None
    return found


def columns(database: Database, name: str = "p") -> dict[str, tuple[str, ...]]:
    return {table.name: table.columns for table in published(database, name).tables.values()}


def identities(database: Database, table: str) -> tuple[ReplicaIdentity, ...]:
    ((oid,),) = database.rows(f"select '{table}'::regclass::oid::bigint")
    with closing(database.connect()) as session:
        return identities_of(session, [oid])[oid]


@on_both
def test_tables_are_published_added_and_dropped(logical_database: Database) -> None:
    logical_database.execute(
        'create table "A b" (id int primary key)',
        "create table c (id int primary key)",
        create_publication_sql("p", [("public", "A b")]),
        add_tables_sql("p", [("public", "c")]),
    )

    both = published(logical_database)
    assert both.operations == frozenset(OPERATIONS)
    assert not both.all_tables
    assert columns(logical_database) == {"A b": ("id",), "c": ("id",)}

    logical_database.execute(drop_tables_sql("p", [("public", "A b")]))
    assert columns(logical_database) == {"c": ("id",)}
    logical_database.execute(drop_publication_sql("p"))
    assert read(logical_database) is None


@on_both
def test_operations_filters_and_columns_are_told(logical_database: Database) -> None:
    logical_database.execute(
        "create table t (id int primary key, a int, b int)",
        "create publication p for table t (id, b) where (id > 3) with (publish = 'insert, update')",
        "create publication everything for all tables",
    )

    found = published(logical_database)

    assert found.operations == {"insert", "update"}
    (table,) = found.tables.values()
    assert (table.columns, table.row_filter) == (("id", "b"), "(id > 3)")
    assert published(logical_database, "everything").all_tables


@on_both
def test_partitions_are_published_as_the_log_names_them(logical_database: Database) -> None:
    logical_database.execute(
        "create table whole (id int primary key) partition by range (id)",
        "create table part partition of whole for values from (0) to (10)",
        create_publication_sql("p", [("public", "whole")]),
        "create publication parts for table whole",
    )

    assert (published(logical_database).via_root, list(columns(logical_database))) == (
        True, ["whole"],
    )  # fmt: skip
    assert list(columns(logical_database, "parts")) == ["part"]
    # The row's own table tells what the log has of it.
    assert identities(logical_database, "whole") == (
        ReplicaIdentity("public.part", "d", frozenset({"id"})),
    )


@on_both
def test_generated_columns_arent_published_unless_asked_for(logical_database: Database) -> None:
    logical_database.execute(
        "create table t (id int primary key, twice int generated always as (id * 2) stored)",
        create_publication_sql("p", [("public", "t")]),
    )

    assert columns(logical_database) == {"t": ("id",)}
    assert not published(logical_database).generated


def test_generated_columns_can_be_published_since_18(logical_database: Database) -> None:
    logical_database.execute(
        "create table t (id int primary key, twice int generated always as (id * 2) stored,"
        " thrice int generated always as (id * 3) virtual)",
        create_publication_sql("p", [("public", "t")], generated=True),
    )

    assert columns(logical_database) == {"t": ("id", "twice")}
    assert published(logical_database).generated


@on_both
def test_what_identifies_a_row_in_the_log(logical_database: Database) -> None:
    logical_database.execute(
        "create table keyed (a int, b int, c int, primary key (a, b) include (c))",
        "create table bare (a int)",
        "create table whole (a int)",
        "alter table whole replica identity full",
        "create table none (a int primary key)",
        "alter table none replica identity nothing",
        "create table indexed (a int primary key, b int not null)",
        "create unique index indexed_b on indexed (b)",
        "alter table indexed replica identity using index indexed_b",
    )

    found = {
        name: identities(logical_database, name)[0]
        for name in ("keyed", "bare", "whole", "none", "indexed")
    }

    assert found["keyed"].key == {"a", "b"}
    assert found["indexed"].key == {"b"}
    assert [name for name, identity in found.items() if identity.is_nothing] == ["bare", "none"]
    assert found["whole"].covers(["a"])
    assert not found["indexed"].covers(["a"])

    logical_database.execute("drop index indexed_b")
    assert identities(logical_database, "indexed")[0].is_nothing
