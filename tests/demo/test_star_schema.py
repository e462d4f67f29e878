"""The shop's star schema over time: facts and the row versions that they refer to."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from lakefeed.demo.shop import create_shop, generate_shop
from lakefeed.demo.shop_events import live_a_day, place_order
from lakefeed.orchestration.build.rebuild import rebuild
from tests.conftest import Database, Lake

pytestmark = pytest.mark.builds

FACTS = ("shop.orders", "shop.order_lines", "shop.payments")
COLUMNS = (
    "select column_name from information_schema.columns where table_name = ?"
    " and column_name <> '_staged_batch' order by ordinal_position"
)


@pytest.fixture
def source(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """The shop's database, small, which the project's variable points at."""
    with closing(database.connect()) as session:
        create_shop(session, generate_shop(0.05, 7))
    monkeypatch.setenv("SHOP_DATABASE_URL", database.url)
    return database


def run(shop: Lake, *select: str, **options: object) -> None:
    report = shop.run(*select, **options)
    assert report.exit_code == 0, report


def live(source: Database, seed: int, *statements: str) -> None:
    with closing(source.connect()) as session:
        live_a_day(session, seed)
    source.execute(*statements)


def order_now(source: Database, product: int) -> int:
    """Places an order of customer 1, and returns its number."""
    with closing(source.connect()) as session, session, session.cursor() as cursor:
        return place_order(cursor, 1, [(product, 1)], paid=True)


def marts(warehouse: Path) -> dict[str, list[tuple[object, ...]]]:
    """All values of all marts and of history, except the build counter."""
    with duckdb.connect(str(warehouse), read_only=True) as session:
        session.execute("set timezone = 'UTC'")
        tables = session.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema in ('marts', 'history', 'staging')"
        ).fetchall()
        found = {}
        for schema, table in tables:
            names = [f'"{row[0]}"' for row in session.execute(COLUMNS, [table]).fetchall()]
            query = f"select {', '.join(names)} from {schema}.{table} order by all"
            found[table] = session.execute(query).fetchall()
        return found


@pytest.mark.at_night
@pytest.mark.faults
def test_an_incremental_warehouse_equals_one_that_is_rebuilt_now_or_as_of_then(
    source: Database, shop: Lake, tmp_path: Path
) -> None:
    run(shop)
    live(source, 1, "insert into addresses (customer_id, street, city, postal_code, country_code)"
         " select customer_id, 'Second Home', 'Lille', '59000', 'FR' from customers limit 3",
         "update countries set name = 'Deutschland' where country_code = 'DE'")  # fmt: skip
    run(shop)
    then = shutil.copy(shop.project.warehouse, tmp_path / "then.duckdb")
    (loaded,) = shop.query(
        "select load_id from _lakefeed.staged_loads order by snapshot_at desc limit 1"
    )
    live(source, 2, "update addresses set customer_id = 5 where address_id = 4",
         "update categories set name = 'Fine Coffee' where category_id = 1")  # fmt: skip
    run(shop, *FACTS)
    run(shop)
    source.execute("delete from payments where order_id in (select order_id from orders"
                   " where status = 'shipped' order by order_id limit 3)", "delete from addresses"
                   " where street = 'Second Home' and customer_id = 2")  # fmt: skip
    run(shop, "shop.payments", "shop.addresses", full_refresh=True, allow_shrink=True)
    grown = marts(shop.project.warehouse)

    as_of = rebuild(shop.project, str(loaded[0]))
    first = rebuild(shop.project, output=tmp_path / "first.duckdb")
    second = shop.command("rebuild")

    assert not as_of.build.failures
    assert not first.build.failures
    assert second.returncode == 0, second
    assert as_of.path.is_relative_to(shop.root / "data" / "as_of")
    assert marts(as_of.path) == marts(then) != grown
    assert marts(first.path) == grown
    assert marts(shop.project.warehouse) == grown
    assert shop.run().build is None


def test_facts_refer_to_the_version_that_was_valid_at_their_time(
    source: Database, shop: Lake
) -> None:
    run(shop)
    source.execute("update products set price = price + 1 where product_id = 1")
    run(shop)
    order = order_now(source, 1)
    run(shop)

    for dimension in ("product", "customer"):
        assert shop.query(
            "select count(*) > 100, bool_and(ordered_at >= valid_from"
            " and (valid_to is null or ordered_at < valid_to)) from marts.fct_order_line"
            f" join marts.dim_{dimension} using ({dimension}_key)"
        ) == [(True, True)]
    assert shop.query(
        "select order_id, line_number, p.is_current from marts.fct_order_line as l"
        " join marts.dim_product as p using (product_key)"
        f" where p.price <> l.unit_price or order_id = {order}"
    ) == [(order, 1, True)]


@pytest.mark.at_night
def test_facts_are_moved_to_a_version_that_is_loaded_later(source: Database, shop: Lake) -> None:
    run(shop)
    source.execute("update products set price = price + 1 where product_id = 1")
    order = order_now(source, 1)
    of_order = (
        "select p.price = l.unit_price from marts.fct_order_line as l"
        f" join marts.dim_product as p using (product_key) where l.order_id = {order}"
    )

    run(shop, *FACTS)
    early = shop.query(of_order)
    run(shop)

    assert early == [(False,)]
    assert shop.query(of_order) == [(True,)]


@pytest.mark.faults
def test_facts_leave_a_version_that_is_removed_by_a_correction(
    source: Database, shop: Lake, tmp_path: Path
) -> None:
    """An address of customer 1 turns out to belong to another customer, then to have changed."""
    first, second = source.rows(
        "select customer_id, percentile_disc(0.4) within group (order by ordered_at)::text"
        " from orders group by customer_id order by count(*) desc, customer_id limit 2"
    )
    source.execute(
        "alter table addresses disable trigger user",
        "insert into addresses (address_id, customer_id, street, city, postal_code, country_code,"
        f" updated_at) values (9001, {first[0]}, 'A road', 'Lille', '59000', 'FR', '{first[1]}')",
    )
    run(shop)

    for correction in (
        f"customer_id = {second[0]}",
        f"customer_id = {first[0]}, updated_at = '{second[1]}'::timestamptz + interval '10 days'",
    ):
        source.execute(f"update addresses set {correction} where address_id = 9001")
        run(shop, "shop.addresses", full_refresh=True)
        rebuilt = rebuild(shop.project, output=tmp_path / "rebuilt.duckdb")
        assert marts(shop.project.warehouse) == marts(rebuilt.path)


@pytest.mark.at_night
def test_a_dimension_row_is_inferred_until_the_real_one_is_loaded(
    source: Database, shop: Lake
) -> None:
    keys = "select order_id, line_number, customer_key, product_key from marts.fct_order_line"
    inferred = "select count(*) filter (is_inferred), count(*) from marts.dim_customer"
    run(shop, *FACTS)
    early, found = shop.query(f"{keys} order by all"), shop.query(inferred)

    run(shop)

    assert found[0][0] == found[0][1] > 0
    assert shop.query("select count(*) filter (is_inferred) from marts.dim_product") == [(0,)]
    assert shop.query(inferred)[0][0] == 0
    assert shop.query(f"{keys} order by all") == early
    assert None not in {key for row in early for key in row}
    assert shop.query("select count(*) from marts.dim_customer where email is null") == [(0,)]
