"""Changes in the shop between two loads: every kind of change that a loader must capture."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import connection as PgConnection


@dataclass(frozen=True)
class Event:
    """A description of what happened, and how many rows it inserted or updated."""

    what: str
    rows: int


def live_a_day(session: PgConnection, seed: int) -> list[Event]:
    """Orders placed and paid, customers moving, prices changed, an order cancelled and refunded."""
    chance = random.Random(seed)
    events = []
    with session, session.cursor() as cursor:
        events.append(_place_orders(cursor, chance, 12))
        events.append(_count(cursor, "customers moved house", """
            update addresses set street = '1 New Street', city = 'Utrecht', postal_code = '35111',
                country_code = 'NL'
            where address_id in (select address_id from addresses order by address_id limit 3)
        """))  # fmt: skip
        events.append(_count(cursor, "prices rose by 5 %", """
            update products set price = round(price * 1.05, 2) where category_id = 1
        """))  # fmt: skip
        events.append(cancel_an_order(cursor))
        events.append(_count(cursor, "deliveries arrived", """
            insert into stock_movements (product_id, quantity, reason)
            select product_id, 50, 'delivery' from products where category_id = 2 limit 2
        """))  # fmt: skip
    return events


def place_order(cursor: Any, customer: int, products: list[tuple[int, int]], paid: bool) -> int:
    """Places one order of (product, quantity) pairs at today's prices; returns its number."""
    cursor.execute("select address_id from addresses where customer_id = %s limit 1", [customer])
    address = cursor.fetchone()[0]
    cursor.execute(
        "insert into orders (customer_id, address_id, status, total) "
        "values (%s, %s, 'placed', 0) returning order_id",
        [customer, address],
    )
    order = int(cursor.fetchone()[0])
    for line, (product, quantity) in enumerate(products, start=1):
        cursor.execute(
            "insert into order_lines (order_id, line_number, product_id, quantity, unit_price) "
            "select %s, %s, product_id, %s, price from products where product_id = %s",
            [order, line, quantity, product],
        )
    cursor.execute(
        "update orders set status = %s, total = (select sum(quantity * unit_price) "
        "from order_lines as l where l.order_id = orders.order_id) where order_id = %s",
        ["paid" if paid else "placed", order],
    )
    if paid:
        cursor.execute(
            "insert into payments (order_id, kind, method, amount) "
            "select order_id, 'charge', 'card', total from orders where order_id = %s",
            [order],
        )
    return order


def cancel_an_order(cursor: Any) -> Event:
    """Cancels and refunds the newest shipped order, if there is one."""
    cursor.execute(
        "update orders set status = 'cancelled' where order_id = "
        "(select max(order_id) from orders where status = 'shipped') returning order_id, total"
    )
    cancelled = cursor.fetchone()
    if cancelled is None:
        return Event("no order could be cancelled", 0)
    order, total = cancelled
    cursor.execute(
        "insert into payments (order_id, kind, method, amount) values (%s, 'refund', 'card', %s)",
        [order, total],
    )
    return Event(f"order {order} was cancelled and refunded", 2)


def _place_orders(cursor: Any, chance: random.Random, number: int) -> Event:
    cursor.execute("select count(*) from customers")
    customers = cursor.fetchone()[0]
    rows = 0
    for _ in range(number):
        products = [(p, chance.randint(1, 3)) for p in chance.sample(range(1, 49), 3)]
        paid = chance.random() < 0.8
        place_order(cursor, chance.randint(1, customers), products, paid)
        rows += 1 + len(products) + paid
    return Event(f"{number} orders were placed, most of them paid", rows)


def _count(cursor: Any, what: str, statement: str) -> Event:
    cursor.execute(statement)
    return Event(f"{cursor.rowcount} {what}", cursor.rowcount)
