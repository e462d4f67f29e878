"""Loading: what reaches raw and staging, and what the second load reads."""

from __future__ import annotations

import pyarrow.parquet as pq

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


def test_raw_files_are_those_that_duckdb_wrote_whatever_the_types(
    database: Database, lake: Lake
) -> None:
    """dlt rewrites an imported file whose types it sees otherwise, and may change values."""
    database.execute(
        "create domain positive as int check (value > 0)",
        "create table t (id int primary key, a timestamp, b timestamptz, c numeric(10, 2), d uuid,"
        " e date, f time, g bytea, h real, i double precision, j boolean, k smallint, l positive,"
        " m varchar(9), n char(4), o numeric, p jsonb, q text[], r interval,"
        " updated_at timestamp not null default now())",
        "insert into t values (1, now(), now(), 1.10, gen_random_uuid(), now(), '24:00', 'x', 1.1,"
        " 1.1, true, 1, 2, 'v', 'c', 1.10, '{}', '{a}', '1 day')",
    )
    lake.declare("t: {cursor: {column: updated_at, timezone: UTC}}").load()

    (file,) = (lake.root / "data/raw/shop__t").rglob("*.parquet")

    assert pq.read_metadata(file).created_by.startswith("DuckDB")
    assert lake.load().tables[0].status == "unchanged"
