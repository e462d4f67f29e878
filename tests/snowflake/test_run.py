"""Loads, builds and publishes on the emulator."""

from __future__ import annotations

import pytest

from tests.conftest import Database, Lake
from tests.snowflake.conftest import Sql

pytestmark = [pytest.mark.clouds, pytest.mark.timeout(600)]


def test_rows_are_staged_updated_and_removed(database: Database, lake: Lake, sql: Sql) -> None:
    database.execute(
        "create table orders (id int primary key, amount numeric(9, 2), note text,"
        " at timestamptz default now())",
        "insert into orders values (1, 1.50, 'one'), (2, 2.50, 'two'), (3, 3.50, 'three')",
    )
    first = lake.declare("orders: {cursor: at, deletes: remove, max_shrink: 90%}").run()
    assert first.exit_code == 0, first
    query = "select id, amount, note from public.stg_shop__orders order by id"
    assert [(int(i), str(a), n) for i, a, n in sql(query)] == [
        (1, "1.50", "one"), (2, "2.50", "two"), (3, "3.50", "three"),
    ]  # fmt: skip

    database.execute(
        "update orders set amount = 9.99, at = clock_timestamp() where id = 1",
        "delete from orders where id = 2",
        "insert into orders values (4, 4.50, 'four', clock_timestamp())",
    )
    second = lake.run()
    assert second.exit_code == 0, second
    assert [(int(i), str(a), n) for i, a, n in sql(query)] == [
        (1, "9.99", "one"), (3, "3.50", "three"), (4, "4.50", "four"),
    ]  # fmt: skip
