"""Settings that change how a table is read work on one table at the same time."""

from __future__ import annotations

import hashlib

import pytest

from tests.conftest import Database, Lake

pytestmark = pytest.mark.builds

SPENDERS = """
spenders:
  query: select customer, email, sum(total) as spent, max(paid) as paid, max(placed) as placed
    from orders group by 1, 2
  primary_key: [email]
  cursor: [paid, placed]
  columns: {email: {hash: sha256}}
  deletes: remove
"""


def hashed(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def lake_of_spenders(database: Database, lake: Lake) -> Lake:
    database.execute(
        "create table orders (customer int, email text, total int, paid timestamptz,"
        " placed timestamptz default now())",
        "insert into orders values (1, 'ann@x.org', 5, null), (2, 'bob@x.org', 7, now())",
    )
    return lake.declare(SPENDERS, head="    max_connections: 2\n")


@pytest.mark.parametrize("backend", ["duckdb", "psycopg2"])
def test_a_query_with_a_hashed_key_and_a_cursor_of_two_columns_follows_its_source(
    database: Database, lake_of_spenders: Lake, backend: str
) -> None:
    lake = lake_of_spenders
    lake.declare(f"{SPENDERS}  backend: {backend}", head="    max_connections: 2\n")
    first = lake.run()
    database.execute(
        "insert into orders values (1, 'ann@x.org', 10, null, clock_timestamp())",
        "delete from orders where customer = 2",
        "insert into orders values (3, 'cat@x.org', 1, clock_timestamp())",
    )

    second = lake.run()

    assert (first.exit_code, second.exit_code) == (0, 0)
    query = "select customer, email, spent::int from staging.stg_shop__spenders order by 1"
    assert lake.query(query) == [(1, hashed("ann@x.org"), 15), (3, hashed("cat@x.org"), 1)]


def test_clear_values_of_a_query_stay_in_the_source(lake_of_spenders: Lake) -> None:
    lake = lake_of_spenders
    assert lake.run().exit_code == 0
    told = lake.command("trace", "shop.spenders", hashed("ann@x.org"))
    audited = lake.command("audit")

    assert told.returncode == 0, told.stderr
    assert audited.returncode == 0, audited.stdout + audited.stderr
    written = [path for path in lake.root.rglob("*") if path.is_file()]
    assert not [path for path in written if b"ann@x.org" in path.read_bytes()]


def test_a_paused_query_is_not_even_described(database: Database, lake_of_spenders: Lake) -> None:
    lake = lake_of_spenders
    assert lake.run().exit_code == 0
    lake.declare(f"{SPENDERS}  enabled: false\nothers: {{mode: full_refresh}}")
    database.execute("drop table orders", "create table others (id int primary key)")

    report = lake.run()

    assert report.exit_code == 0
    assert lake.query("select count(*) from staging.stg_shop__spenders") == [(2,)]
