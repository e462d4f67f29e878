"""Loading: what reaches raw and staging, and what the second load reads."""

from __future__ import annotations

from tests.conftest import Database, Lake

ORDERS = """
create table orders (
    id int primary key, note text, updated_at timestamptz not null default now()
)
"""


def test_a_changed_row_replaces_the_old_one_and_raw_keeps_both(
    database: Database, lake: Lake
) -> None:
    database.execute(ORDERS, "insert into orders values (1, 'old'), (2, 'same')")
    lake.declare("orders: {cursor: updated_at}").run()
    database.execute("update orders set note = 'new', updated_at = now() where id = 1")

    report = lake.run()

    assert report.exit_code == 0
    assert lake.query("select id, note from staging.stg_shop__orders order by id") == [
        (1, "new"),
        (2, "same"),
    ]
    files = sorted((lake.root / "data/raw/shop__orders/orders").rglob("*.parquet"))
    assert len(files) == 2
