"""Generates the shop's data at any scale, reproducibly from a seed."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import random
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.resources import files
from typing import Any

from psycopg2.extensions import connection as PgConnection

# The variable with the shop's URL in sources.yaml, and the name of its database.
CONNECTION_VARIABLE = "SHOP_DATABASE_URL"
DATABASE = "shop"

OPENED = dt.datetime(2025, 1, 2, 8, tzinfo=dt.UTC)
PAST_ENDS = dt.datetime(2026, 10, 31, 20, tzinfo=dt.UTC)

_COUNTRIES = {
    "DE": ("Germany", ["Berlin", "Hamburg", "Leipzig", "Köln"]),
    "FR": ("France", ["Paris", "Lyon", "Nantes", "Lille"]),
    "GB": ("United Kingdom", ["London", "Leeds", "Bristol", "Glasgow"]),
    "NL": ("Netherlands", ["Amsterdam", "Utrecht", "Rotterdam"]),
    "PL": ("Poland", ["Warszawa", "Kraków", "Łódź", "Gdańsk"]),
    "ES": ("Spain", ["Madrid", "Sevilla", "Valencia"]),
}
_FIRST = [
    *("Anna", "Ben", "Clara", "David", "Elif", "Femke", "Greta", "Hugo", "Ines", "Jan"),
    *("Katarzyna", "Liam", "Marta", "Noah", "Olivia", "Pablo", "Rosa", "Sofie", "Tom", "Zofia"),
]
_LAST = [
    *("Bauer", "Bernard", "Brown", "de Vries", "Fischer", "García", "Jansen", "Kowalska"),
    *("Lewandowski", "Martin", "Meyer", "Moreau", "Nowak", "Petit", "Schmidt", "Smit"),
    *("Taylor", "Torres", "Weber", "Wilson"),
]
_STREETS = [
    "Station Road",
    "Mill Lane",
    "Garden Street",
    "Market Square",
    "Harbour View",
    "Oak Avenue",
]
_CATALOGUE = {
    "Coffee": (["Espresso Beans", "Filter Roast", "Decaf Blend", "Cold Brew Kit"], 9, 24),
    "Tea": (["Earl Grey", "Sencha", "Rooibos", "Chai Mix"], 5, 18),
    "Kitchen": (["Moka Pot", "Pour-over Set", "Milk Frother", "Burr Grinder"], 19, 140),
    "Cups": (["Stoneware Mug", "Espresso Cup", "Travel Tumbler", "Glass Teapot"], 8, 45),
    "Books": (["The Perfect Cup", "Tea Journeys", "Baking for Two", "Slow Mornings"], 12, 38),
    "Gifts": (["Tasting Box", "Gift Card Set", "Barista Bundle", "Advent Calendar"], 15, 90),
}
_COLOURS = ["white", "slate", "moss", "ochre", "navy"]
_METHODS = ["card", "paypal", "bank transfer"]


@dataclass
class Shop:
    """Rows by table, in the order of foreign keys, with values in the order of columns in SQL."""

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def count(self) -> int:
        return sum(len(rows) for rows in self.rows.values())


def generate_shop(scale: float, seed: int) -> Shop:
    """A shop of about 6,500 x scale rows.

    Args:
        scale: 1.0 is 400 customers and 1,500 orders.
        seed: the same seed gives the same rows.
    """
    chance = random.Random(seed)
    shop = Shop()
    shop.rows["countries"] = [(code, name) for code, (name, _) in _COUNTRIES.items()]
    customers = max(5, int(400 * scale))
    shop.rows["customers"] = list(_customers(chance, customers))
    shop.rows["addresses"] = list(_addresses(chance, shop.rows["customers"]))
    shop.rows["categories"] = [
        (number, name, OPENED) for number, name in enumerate(_CATALOGUE, start=1)
    ]
    shop.rows["products"] = list(_products(chance))
    _orders(chance, shop, max(10, int(1500 * scale)))
    shop.rows["stock_movements"] = list(_stock(chance, shop.rows["products"], int(600 * scale)))
    return shop


def create_shop(session: PgConnection, shop: Shop) -> None:
    """Creates the tables and copies the rows in, in one transaction."""
    with session, session.cursor() as cursor:
        cursor.execute(files("lakefeed.demo").joinpath("shop.sql").read_text(encoding="utf-8"))
        for table, rows in shop.rows.items():
            cursor.copy_expert(f"copy {table} from stdin (format csv)", _csv(rows))
        for table, key in (
            ("customers", "customer_id"),
            ("addresses", "address_id"),
            ("orders", "order_id"),
            ("stock_movements", "movement_id"),
        ):
            sequence = f"pg_get_serial_sequence('{table}', '{key}')"
            cursor.execute(f"select setval({sequence}, max({key})) from {table}")


def _customers(chance: random.Random, number: int) -> Iterator[tuple[Any, ...]]:
    for customer in range(1, number + 1):
        first, last = chance.choice(_FIRST), chance.choice(_LAST)
        email = f"{first}.{last.replace(' ', '')}{customer}@example.com".lower()
        phone = f"+{chance.randint(30, 49)} {chance.randint(10**8, 10**9 - 1)}"
        joined = _moment(chance, OPENED, PAST_ENDS - dt.timedelta(days=30))
        shown_phone = phone if chance.random() < 0.8 else None
        yield customer, email, f"{first} {last}", shown_phone, joined, joined


def _addresses(
    chance: random.Random, customers: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[Any, ...]]:
    for address, customer in enumerate(customers, start=1):
        code = chance.choice(list(_COUNTRIES))
        city = chance.choice(_COUNTRIES[code][1])
        street = f"{chance.randint(1, 180)} {chance.choice(_STREETS)}"
        yield (
            address,
            customer[0],
            street,
            city,
            f"{chance.randint(10000, 99999)}",
            code,
            customer[4],
        )


def _products(chance: random.Random) -> Iterator[tuple[Any, ...]]:
    product = 0
    for category, (name, (items, low, high)) in enumerate(_CATALOGUE.items(), start=1):
        for item in items:
            for size in ("Small", "Large"):
                product += 1
                price = Decimal(chance.randint(low * 100, high * 100)) / 100
                attributes = {"size": size.lower(), "colour": chance.choice(_COLOURS)}
                sku = f"{name[:3].upper()}-{product:04d}"
                yield (
                    product, sku, f"{item}, {size}", category, price,
                    json.dumps(attributes), OPENED,
                )  # fmt: skip


def _orders(chance: random.Random, shop: Shop, number: int) -> None:
    orders: list[tuple[Any, ...]] = []
    lines: list[tuple[Any, ...]] = []
    payments: list[tuple[Any, ...]] = []
    prices = {row[0]: row[4] for row in shop.rows["products"]}
    customers = shop.rows["customers"]
    for order in range(1, number + 1):
        customer = chance.choice(customers)
        ordered = _moment(chance, customer[4], PAST_ENDS)
        total = Decimal(0)
        chosen = chance.sample(list(prices), chance.randint(1, 5))
        for line, product in enumerate(chosen, start=1):
            quantity = chance.choice([1, 1, 1, 2, 2, 3])
            total += quantity * prices[product]
            lines.append((order, line, product, quantity, prices[product], ordered))
        status = chance.choices(["shipped", "paid", "cancelled"], [85, 10, 5])[0]
        changed = ordered + dt.timedelta(hours=chance.randint(1, 40))
        orders.append((order, customer[0], customer[0], status, total, ordered, changed))
        payments += _payments(chance, orders[-1])
    shop.rows |= {"orders": orders, "order_lines": lines, "payments": payments}


def _payments(chance: random.Random, order: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    number, _, _, status, total, ordered, changed = order
    method = chance.choice(_METHODS)
    paid = ordered + dt.timedelta(minutes=chance.randint(1, 50))
    yield _uuid(chance), number, "charge", method, total, paid, paid
    if status == "cancelled":
        yield _uuid(chance), number, "refund", method, total, changed, changed


def _stock(
    chance: random.Random, products: list[tuple[Any, ...]], number: int
) -> Iterator[tuple[Any, ...]]:
    moments = sorted(_moment(chance, OPENED, PAST_ENDS) for _ in range(number))
    for movement, moment in enumerate(moments, start=1):
        product = chance.choice(products)[0]
        delivered = chance.random() < 0.6
        quantity = chance.randint(20, 200) if delivered else -chance.randint(1, 9)
        yield movement, product, quantity, "delivery" if delivered else "breakage", moment


def _moment(chance: random.Random, start: dt.datetime, end: dt.datetime) -> dt.datetime:
    seconds = int((end - start).total_seconds())
    moment = start + dt.timedelta(seconds=chance.randint(0, seconds))
    return moment.replace(hour=chance.choice(range(7, 22)))


def _uuid(chance: random.Random) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _csv(rows: Iterable[tuple[Any, ...]]) -> io.StringIO:
    text = io.StringIO()
    csv.writer(text).writerows(["" if value is None else value for value in row] for row in rows)
    text.seek(0)
    return text
