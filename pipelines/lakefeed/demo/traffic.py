"""Generates traffic in the shop: an order every few seconds, and other changes now and then.

python -m lakefeed.demo.traffic [--check]
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import click
import psycopg2
from psycopg2.extensions import connection as PgConnection

from lakefeed.demo.shop import CONNECTION_VARIABLE, create_shop, generate_shop
from lakefeed.demo.shop_events import Event, cancel_an_order, place_order

_PAUSE_SECONDS = 4.0
_SCALE, _SEED = 1.0, 7


def open_shop(session: PgConnection) -> int:
    """Creates the shop if the database has none; returns how many rows were inserted."""
    with session, session.cursor() as cursor:
        cursor.execute("select to_regclass('orders') is not null")
        if cursor.fetchone() == (True,):
            return 0
    shop = generate_shop(_SCALE, _SEED)
    create_shop(session, shop)
    return shop.count()


def live_on(session: PgConnection, chance: random.Random) -> Iterator[Event]:
    """Generates events without end, each committed before it is yielded."""
    weights = list(_HAPPENINGS.values())
    while True:
        (happen,) = chance.choices(list(_HAPPENINGS), weights)
        with session, session.cursor() as cursor:
            event = happen(cursor, chance)
        yield event


def is_alive(session: PgConnection) -> bool:
    """Whether an order was placed within the last minute."""
    with session, session.cursor() as cursor:
        cursor.execute("select max(ordered_at) > now() - interval '1 minute' from orders")
        return cursor.fetchone() == (True,)


def _order(cursor: Any, chance: random.Random) -> Event:
    customer, *products = (
        _any(cursor, table, key)
        for table, key in [("customers", "customer_id"), *[("products", "product_id")] * 3]
    )
    ordered = {product: chance.randint(1, 3) for product in products}
    paid = chance.random() < 0.8
    order = place_order(cursor, customer, list(ordered.items()), paid)
    return Event(f"order {order} was placed{' and paid' if paid else ''}", 1 + len(ordered) + paid)


def _shipping(cursor: Any, _chance: random.Random) -> Event:
    cursor.execute("update orders set status = 'shipped' where status = 'paid'")
    return Event(f"{cursor.rowcount} orders were shipped", cursor.rowcount)


def _cancellation(cursor: Any, _chance: random.Random) -> Event:
    return cancel_an_order(cursor)


def _move(cursor: Any, chance: random.Random) -> Event:
    address = _any(cursor, "addresses", "address_id")
    cursor.execute(
        "update addresses set street = %s where address_id = %s",
        [f"{chance.randint(1, 180)} New Street", address],
    )
    return Event(f"the customer at address {address} moved house", 1)


def _price(cursor: Any, chance: random.Random) -> Event:
    product = _any(cursor, "products", "product_id")
    cursor.execute(
        "update products set price = greatest(1, round(price * %s, 2)) where product_id = %s",
        [chance.choice([0.95, 1.05]), product],
    )
    return Event(f"product {product} has a new price", 1)


def _any(cursor: Any, table: str, key: str) -> int:
    cursor.execute(f"select {key} from {table} order by random() limit 1")
    return int(cursor.fetchone()[0])


# The share of each kind of event in percent.
_HAPPENINGS: dict[Callable[[Any, random.Random], Event], int] = {
    _order: 80,
    _shipping: 6,
    _move: 6,
    _price: 4,
    _cancellation: 4,
}


@click.command()
@click.option("--check", is_flag=True, help="Exit with 0 if there is traffic, otherwise with 1.")
@click.option("--pause", type=float, default=_PAUSE_SECONDS, help="Seconds between two events.")
def main(check: bool, pause: float) -> None:
    """Generate traffic in the shop of SHOP_DATABASE_URL until SIGTERM or Ctrl-C."""
    with closing(psycopg2.connect(os.environ[CONNECTION_VARIABLE])) as session:
        if check:
            raise SystemExit(0 if is_alive(session) else 1)
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        if rows := open_shop(session):
            click.echo(f"created the shop with {rows:,} rows")
        for event in live_on(session, random.Random()):
            click.echo(event.what)
            if stop.wait(pause):
                return


if __name__ == "__main__":
    main()
