"""What the log lacks of a table that is read from it is refused before anything is read."""

from __future__ import annotations

import pytest

from lakefeed.orchestration.checks.check import check_connected
from lakefeed.orchestration.log.setup import setup
from tests.conftest import Database, Lake

NAME = "lakefeed_shop"
ORDERS = "create table orders (id int primary key, total numeric, other int not null unique)"
# As `cdc setup` leaves it, with the slot.
BY_SETUP = "by setup"
PUBLISHED = f"create publication {NAME} for table orders"


def errors_of(lake: Lake) -> list[str]:
    """The errors of the check, each in one line; not that the project was never synced."""
    found = [" ".join(str(error).split()) for error in check_connected(lake.project).errors]
    return [error for error in found if "isn't in sources.lock.yaml" not in error]


def prepared(lake: Lake, database: Database, statements: tuple[str, ...]) -> Lake:
    """A declared source after these statements, with a slot."""
    for statement in statements:
        if statement == BY_SETUP:
            (found,) = setup(lake.project, ["shop"], applies=True, allow_unbounded=False)
            assert found.applied, found
        else:
            database.execute(statement)
    if not database.rows("select 1 from pg_replication_slots where database = current_database()"):
        database.execute(f"select pg_create_logical_replication_slot('{NAME}', 'pgoutput')")
    return lake


@pytest.mark.parametrize("logical_database", [18, 16], indirect=True)
def test_a_table_that_was_set_up_is_accepted(logical_database: Database, lake: Lake) -> None:
    logical_database.execute(ORDERS)

    declared = prepared(lake.declare("orders: {cursor: wal}"), logical_database, (BY_SETUP,))

    assert errors_of(declared) == []


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ((), "the publication `lakefeed_shop` doesn't exist create it: lakefeed cdc setup"),
        (
            (f"create publication {NAME}",),
            "shop.orders isn't published in the publication `lakefeed_shop` publish it",
        ),
        (
            (f"{PUBLISHED} with (publish = 'insert, update')",),
            "doesn't send each delete and truncate of shop.orders have it send them",
        ),
        (
            (f"create publication {NAME} for table orders where (id > 5)",),
            "sends only the rows of shop.orders that meet a condition",
        ),
        (
            (f"create publication {NAME} for table orders (id, other)",),
            "doesn't send the column `total` of shop.orders",
        ),
        (
            (PUBLISHED, "alter table orders replica identity nothing"),
            "no replica identity, so that it can neither be updated nor deleted from while it is "
            "published run: alter table public.orders replica identity using index orders_pkey",
        ),
        (
            (PUBLISHED, "alter table orders replica identity using index orders_other_key"),
            "the log doesn't have the key (id) of rows deleted from shop.orders: its replica "
            "identity is (other) run: alter table public.orders replica identity using index "
            "orders_pkey",
        ),
        (
            (
                "alter table orders add twice int generated always as (2 * id) stored",
                PUBLISHED,
            ),
            "`twice` of shop.orders is generated, and the publication `lakefeed_shop` doesn't "
            "send it",
        ),
        (
            (
                "alter table orders add twice int generated always as (2 * id) virtual",
                BY_SETUP,
            ),
            "`twice` of shop.orders is generated, and isn't stored, so that the log doesn't have "
            "it exclude it: columns: {exclude: [twice]}",
        ),
    ],
    ids=[
        *("no_publication", "not_published", "operations", "filter", "column_list"),
        *("identity_nothing", "identity_without_key", "generated", "virtual"),
    ],
)
def test_a_table_is_refused_of_which_the_log_lacks_something(
    statements: tuple[str, ...], told: str, logical_database: Database, lake: Lake
) -> None:
    logical_database.execute(ORDERS)

    declared = prepared(lake.declare("orders: {cursor: wal}"), logical_database, statements)

    (error, *_) = [error for error in errors_of(declared) if "shop.orders" in error]
    assert told in error
    assert error.startswith("sources.yaml:6: ")


@pytest.mark.parametrize("logical_database", [16], indirect=True)
def test_a_generated_column_is_excluded_where_the_log_has_none(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute(
        ORDERS, "alter table orders add twice int generated always as (2 * id) stored"
    )
    declared = prepared(lake.declare("orders: {cursor: wal}"), logical_database, (BY_SETUP,))

    refused = errors_of(declared)
    excluded = errors_of(lake.declare("orders: {cursor: wal, columns: {exclude: [twice]}}"))

    (error,) = refused
    assert "which the log of PostgreSQL 16 doesn't have" in error
    assert excluded == []


def test_replica_identity_full_has_every_key(logical_database: Database, lake: Lake) -> None:
    logical_database.execute(
        "create table events (id int not null, at date)",
        "alter table events replica identity full",
    )
    declared = lake.declare("events: {cursor: wal, primary_key: [id]}")

    assert errors_of(prepared(declared, logical_database, (BY_SETUP,))) == []


def test_a_deferrable_primary_key_is_refused(logical_database: Database, lake: Lake) -> None:
    logical_database.execute(
        "create table events (id int primary key deferrable)",
        "alter table events replica identity full",
    )
    declared = prepared(lake.declare("events: {cursor: wal}"), logical_database, (BY_SETUP,))

    (error,) = errors_of(declared)
    assert "the primary key of shop.events is deferrable" in error


def test_partitions_are_accepted_under_their_root_or_under_their_own_name_alone(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute(
        "create table days (id int primary key) partition by range (id)",
        "create table low partition of days for values from (0) to (10)",
    )
    of_root = errors_of(
        prepared(lake.declare("days: {cursor: wal}"), logical_database, (BY_SETUP,))
    )

    of_part = errors_of(lake.declare("low: {cursor: wal}"))
    prepared(lake.declare("low: {cursor: wal}"), logical_database, (BY_SETUP,))

    assert of_root == []
    assert (
        "sends the changes of shop.low as those of the table that it is a partition" in of_part[0]
    )
    assert errors_of(lake.declare("low: {cursor: wal}")) == []


@pytest.mark.parametrize(
    ("statements", "declared", "told"),
    [
        (
            ("create view orders as select 1 as id",),
            "orders: {cursor: wal, primary_key: [id]}",
            "shop.orders is a view: the log has no changes of it",
        ),
        (
            (ORDERS, "create table archived () inherits (orders)"),
            "orders: {cursor: wal}",
            "read together with the tables that inherit from it (archived)",
        ),
        (
            ("create table orders (id int)",),
            "orders: {cursor: wal}",
            "shop.orders has no primary key, by which the changes in the log are merged",
        ),
        (
            ("create table orders (id int primary key, _wal_lsn int)",),
            "orders: {cursor: wal}",
            "a column `_wal_lsn`, a name reserved by Lakefeed",
        ),
        (
            (ORDERS,),
            '"ord*": {cursor: wal, columns: {total: {mask: x}}}',
            "`total` can't have `mask` with `cursor: wal`: the log has clear values",
        ),
    ],
    ids=["view", "inheritance", "no_key", "reserved_name", "mask_of_a_wildcard"],
)
def test_what_the_log_never_has_is_refused_whatever_is_published(
    statements: tuple[str, ...],
    declared: str,
    told: str,
    logical_database: Database,
    lake: Lake,
) -> None:
    logical_database.execute(*statements, f"create publication {NAME} for all tables")

    errors = errors_of(prepared(lake.declare(declared), logical_database, ()))

    assert [error for error in errors if told in error]


def test_a_column_named_wal_is_a_cursor_like_any_other(
    logical_database: Database, lake: Lake
) -> None:
    logical_database.execute("create table orders (id int primary key, wal timestamptz not null)")

    assert errors_of(lake.declare("orders: {cursor: {column: wal}}")) == []
