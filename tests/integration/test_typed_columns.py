"""Columns with a declared type: exact in raw and staging, or the table stops."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tests.conftest import Database, Lake, failure, only

pytestmark = pytest.mark.builds

ORDERS = (
    "create table orders (shop int, no int, amount numeric, placed text, code text, "
    "at timestamptz default now(), primary key (shop, no))",
    "insert into orders values (1, 7, 12.5, '2026-01-31T10:00:00+02:00', '42')",
)
TYPED = '{amount: {type: "numeric(18,4)"}, placed: {type: timestamptz}, code: {type: bigint}}'


@pytest.mark.parametrize("backend", ["duckdb", "psycopg2"])
def test_values_arrive_in_the_declared_types_or_the_table_stops_with_the_key(
    database: Database, lake: Lake, backend: str
) -> None:
    database.execute(*ORDERS)
    lake.declare(f"orders: {{cursor: at, backend: {backend}, columns: {TYPED}}}")

    assert lake.run().exit_code == 0

    placed = dt.datetime(2026, 1, 31, 8, tzinfo=dt.UTC)
    query = "select amount, placed, code, typeof(amount) from staging.stg_shop__orders"
    assert lake.query(query) == [(Decimal("12.5000"), placed, 42, "DECIMAL(18,4)")]

    database.execute("insert into orders values (2, 8, 0.00001, null, null, clock_timestamp())")

    assert failure(lake.load()) == (
        "sources.yaml:6: shop.orders: column amount holds a value that isn't exact as "
        "numeric(18,4) in the row with shop = 2, no = 8\n"
        "  fix the value, or declare another `type` (or none)"
    )


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_another_type_reads_the_table_again_unless_it_only_widens(
    database: Database, lake: Lake
) -> None:
    database.execute(*ORDERS)
    lake.declare("orders: {cursor: at}")
    lake.run()

    lake.declare('orders: {cursor: at, columns: {amount: {type: "numeric(10,2)"}}}')
    retyped = lake.run()
    lake.declare('orders: {cursor: at, columns: {amount: {type: "numeric(12,4)"}}}')
    widened = lake.run()

    assert only(retyped).notes == (
        "column `amount` was varchar and is decimal(10,2), so the table is read in full",
    )
    assert only(widened).notes == (
        "column `amount` was decimal(10,2) and is decimal(12,4), which has the values loaded "
        "before too",
    )
    database.execute("update orders set amount = 1.2345, at = clock_timestamp()")
    lake.run()
    query = "select amount, typeof(amount) from staging.stg_shop__orders"
    assert lake.query(query) == [(Decimal("1.2345"), "DECIMAL(12,4)")]
    assert lake.command("audit").returncode == 0


def test_a_type_that_the_column_can_not_have_is_refused(database: Database, lake: Lake) -> None:
    database.execute(*ORDERS)
    lake.declare("orders: {cursor: at, columns: {amount: {type: date}}}")
    assert "`amount` of shop.orders is numeric in the source, which can't be read as date" in (
        failure(lake.load())
    )
    lake.declare("orders: {cursor: at, columns: {no: {type: bigint}}}")
    assert "`no` is in the primary key of shop.orders, which keeps" in failure(lake.load())
