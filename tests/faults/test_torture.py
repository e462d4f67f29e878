"""Random writers, and runs killed at random: no row is lost or duplicated in the end."""

from __future__ import annotations

import os
import random
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from lakefeed.lab.kill import lakefeed_perhaps_killed
from lakefeed.lab.upheavals import Upheavals, Whole
from lakefeed.lab.writers import writing
from tests.conftest import NIGHTLY, Database, Lake

pytestmark = [pytest.mark.faults, pytest.mark.nightly]

STEPS = 200 if NIGHTLY else 10
# A server has a hundred sessions, which a run on a slow machine would take long enough to fill.
MOST_OPEN = 40
# Its short form is no longer than that on a file.
STEPS_ON_DUCKLAKE = STEPS if NIGHTLY else 4
SEED = int(os.environ.get("LAKEFEED_TORTURE_SEED", "0")) or random.randrange(1_000_000)

SCHEMA = (
    "create table customers (id int primary key, name text, updated_at timestamptz not null)",
    "create table orders (id int primary key, customer_id int not null references customers"
    " on delete cascade, amount numeric(9, 2), updated_at timestamptz not null)",
    "create table rates (code text, rate numeric(12, 6))",
    """create function touch() returns trigger language plpgsql as
    $$ begin new.updated_at := now(); return new; end $$""",
    "create trigger touch before insert or update on customers"
    " for each row execute function touch()",
    "create trigger touch before insert or update on orders for each row execute function touch()",
    # Changes of these tables as a whole are below.
    "create table accounts (id int primary key, name text, alias text, extra int,"
    " updated_at timestamptz not null default now())",
    "create table events (id int primary key, word text,"
    " updated_at timestamptz not null default now()) partition by range (id)",
    "create table readings (id int primary key, low int, high int) partition by range (id)",
    *(
        f"create table {table}_{first} partition of {table} for values from ({first}) to"
        f" ({first + 100})"
        for table in ("events", "readings")
        for first in (0, 100, 200)
    ),
    "create table lookups (id int primary key, word text)",
    *(
        f"create trigger touch before insert or update on {table} for each row"
        " execute function touch()"
        for table in ("accounts", "events")
    ),
    "insert into accounts select i, 'n' || i, 'a' || i, i from generate_series(1, 50) i",
    "insert into events select i, 'w' || i from generate_series(1, 299, 3) i",
    "insert into readings select i, i, -i from generate_series(1, 299, 3) i",
    "insert into lookups select i, 'w' || i from generate_series(1, 5) i",
)
TABLES = """
customers: {cursor: updated_at, deletes: remove, max_shrink: 100%, history: true}
orders: {cursor: updated_at, deletes: remove, max_shrink: 100%, history: true}
rates: {mode: full_refresh, max_shrink: 100%}
accounts: {cursor: updated_at, deletes: remove, max_shrink: 100%, history: true}
events: {cursor: updated_at}
readings: {cursor: xmin, deletes: remove, max_shrink: 100%}
lookups: {mode: full_refresh, max_shrink: 100%}
"""
NAMES = ("customers", "orders", "rates", "accounts", "events", "readings", "lookups")
WHOLES = (
    Whole(
        "public",
        "accounts",
        ("id", "name", "alias", "extra", "updated_at"),
        may_lose=True,
        may_part=False,
        may_change=True,
        alike=(("name", "alias"),),
    ),
    # No row may leave it for good, since the table doesn't watch deletes.
    Whole(
        "public",
        "events",
        ("id", "word", "updated_at"),
        may_lose=False,
        may_part=True,
        may_change=True,
    ),
    Whole(
        "public",
        "readings",
        ("id", "low", "high"),
        may_lose=True,
        may_part=True,
        may_change=True,
        alike=(("low", "high"),),
    ),
    Whole("public", "lookups", ("id", "word"), may_lose=True, may_part=False, may_change=True),
)
# Each is one transaction in which no trigger updates the cursor.
SUDDEN = (
    # Attaches a partition with old rows.
    "create table events_{n} (like events including all);"
    " insert into events_{n} select {n} + i, 'old', '2001-01-01Z' from generate_series(1, 5) i;"
    " alter table events attach partition events_{n} for values from ({n}) to ({n} + 100)",
    # Swaps in another table with old rows.
    "truncate accounts;"
    " insert into accounts select {n} + i, 'again', 'a', 1, '2001-01-01Z'"
    " from generate_series(1, 9) i",
    # Restores rows, and converts rows.
    "insert into accounts select i, 'back', 'a', 1, '2002-02-02Z' from generate_series(1, 3) i"
    " on conflict do nothing",
    "alter table accounts alter name type text using name || '.'",
    # Replaces a column under the same name.
    "alter table accounts drop column extra; alter table accounts add column extra int default {n}",
)
DDL = (
    "alter table orders add column note text",
    "alter table orders alter amount type numeric(12, 4)",
    "alter table customers add column vip boolean not null default false",
    "alter table orders drop column note",
    "alter table orders alter amount type numeric",
    "alter table customers rename column name to full_name",
)


@dataclass
class Writer:
    """A user of the source: short transactions, and some that stay open."""

    database: Database
    choose: random.Random
    wholes: Sequence[Whole] = WHOLES
    open_ones: list[Any] = field(default_factory=list)
    changes: int = 0
    sudden: int = 0
    upheavals: Upheavals = field(init=False)

    def __post_init__(self) -> None:
        self.upheavals = Upheavals(self.database.url, self.choose)

    def statement(self) -> str:
        number = self.choose.randrange(1, 200)
        kinds = ["customer", "order", "order", "update", "update", "delete", "rate"]
        kinds += ["account", "event", "event", "reading", "lookup"]
        kind = self.choose.choice(kinds)
        return {
            "account": f"insert into accounts (id, name) values ({number}, 'new') on conflict (id)"
            f" do update set name = 'n{number}', extra = {number}",
            "event": f"insert into events values ({number}, 'new') on conflict (id)"
            f" do update set word = 'w{number}'",
            "reading": f"update readings set low = low + 1 where id % 20 = {number % 20}",
            "lookup": f"insert into lookups values ({number % 9}, 'w') on conflict (id)"
            f" do update set word = 'w{number}'",
            "customer": f"insert into customers (id) values ({number}) on conflict do nothing",
            "order": f"insert into orders (id, customer_id, amount) select {number * 7 % 500}, id,"
            f" {number}.25 from customers order by id limit 1 on conflict do nothing",
            "update": f"update orders set amount = amount + 1 where id % 50 = {number % 50}",
            "delete": f"delete from customers where id = {number}",
            "rate": f"insert into rates values ('c{number}', {number} / 7.0)",
        }[kind]

    def upheave(self) -> None:
        """Something happens to a whole table; what the database refuses doesn't."""
        if self.choose.random() < 0.5:
            self.upheavals.happen(self.choose.choice(self.wholes))
            return
        session = self.database.connect()
        self.sudden += 1
        with suppress(psycopg2.Error), session, session.cursor() as cursor:
            cursor.execute("set lock_timeout = '200ms'; set session_replication_role = replica")
            cursor.execute(self.choose.choice(SUDDEN).format(n=1000 * self.sudden))
        session.close()

    def write(self) -> None:
        """A transaction of one to three statements, which may stay open for a while."""
        if self.choose.random() < 0.1:
            self.upheave()
        session = self.database.connect()
        try:
            with session.cursor() as cursor:
                cursor.execute("set lock_timeout = '200ms'; set deadlock_timeout = '100ms'")
                for _ in range(self.choose.randrange(1, 4)):
                    cursor.execute(self.statement())
        except psycopg2.Error:
            session.close()
            return
        self.changes += 1
        stays_open = self.choose.random() < 0.2
        if stays_open and len(self.open_ones) < MOST_OPEN:
            self.open_ones.append(session)
        else:
            session.commit()
            session.close()

    def end_open_ones(self) -> None:
        for session in self.open_ones:
            session.commit() if self.choose.random() < 0.8 else session.rollback()
            session.close()
        self.open_ones.clear()


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
def test_random_writes_and_killed_runs_lose_and_duplicate_nothing(
    database: Database, lake: Lake, engine: str
) -> None:
    database.execute(*SCHEMA)
    writer = Writer(database, random.Random(SEED))

    torture(lake.declare(TABLES), writer, STEPS if engine == "duckdb" else STEPS_ON_DUCKLAKE)

    ended = lake.command("run")
    say(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    nothing_is_lost_or_duplicated(lake, database)


def torture(
    lake: Lake, writer: Writer, steps: int, between: Callable[[], None] = lambda: None
) -> None:
    """Writes at random, and runs killed at random; in the end, nothing is open or detached.

    Args:
        between: called before each run.
    """
    say(f"seed {SEED}, to repeat: LAKEFEED_TORTURE_SEED={SEED} make test-faults")
    choose, database = writer.choose, writer.database
    ddl, killed = list(DDL), 0
    for _ in range(20):
        writer.write()
    for _ in range(steps):
        for _ in range(choose.randrange(0, 10)):
            writer.write()
        if ddl and choose.random() < 0.4:
            writer.end_open_ones()
            database.execute(ddl.pop(0))
        if choose.random() < 0.5:
            writer.end_open_ones()
        between()
        with writing([writer]):
            killed += lakefeed_perhaps_killed(lake.root, choose, "run")
        if choose.random() < 0.15:
            shutil.rmtree(lake.root / "data" / ".dlt", ignore_errors=True)
    writer.end_open_ones()
    writer.upheavals.end()
    upheaved = writer.sudden + writer.upheavals.happened
    say(f"{writer.changes} transactions, {upheaved} upheavals, {killed} runs killed")


def nothing_is_lost_or_duplicated(lake: Lake, database: Database) -> None:
    """Staging is what the source has, raw has every version, and history equals a rebuilt one."""
    audited = lake.command("audit")
    assert audited.returncode == 0, audited.stdout
    for table in NAMES:
        assert staged(lake, table) == in_the_source(database, table)
        assert versions_in_raw(lake, table) >= set(in_the_source(database, table))
    rebuilt = lake.root / "data" / "rebuilt.duckdb"
    ended = lake.command("rebuild", "--output", str(rebuilt))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for table in ("customers", "orders", "accounts"):
        assert rows_of(lake, table, "history.hst", "where is_current") == staged(lake, table)
        assert lake.query(history(table)) == rows_in(rebuilt, history(table))


def say(line: str) -> None:
    """Shown by pytest if the test fails."""
    sys.stdout.write(f"{line}\n")


def columns_of(database: Database, table: str) -> list[str]:
    return [name for (name,) in database.rows(
        f"select attname from pg_attribute where attrelid = '{table}'::regclass and attnum > 0"
        " and not attisdropped and atttypid <> 'timestamptz'::regtype order by attname"
    )]  # fmt: skip


def in_the_source(database: Database, table: str) -> list[tuple[Any, ...]]:
    texts = ", ".join(f"{name}::text" for name in columns_of(database, table))
    return sorted(database.rows(f"select {texts} from {table}"), key=str)


def staged(lake: Lake, table: str) -> list[tuple[Any, ...]]:
    return rows_of(lake, table, "staging.stg")


def rows_of(lake: Lake, table: str, prefix: str, where: str = "") -> list[tuple[Any, ...]]:
    known = lake.project.table(f"shop__{table}").catalogue
    assert known is not None
    names = sorted(column.name for column in known.columns if "timestamp" not in column.type)
    texts = ", ".join(f"{name}::varchar" for name in names)
    return sorted(lake.query(f"select {texts} from {prefix}_shop__{table} {where}"), key=str)


def history(table: str) -> str:
    """The query of all versions with all values, without the count of builds."""
    return f"select * exclude (_staged_batch) from history.hst_shop__{table} order by all"


def rows_in(warehouse: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(warehouse, read_only=True) as session:
        return session.execute(query).fetchall()


def versions_in_raw(lake: Lake, table: str) -> set[tuple[Any, ...]]:
    known = lake.project.table(f"shop__{table}").catalogue
    assert known is not None
    names = sorted(column.name for column in known.columns if "timestamp" not in column.type)
    return set(lake.raw(f"shop__{table}", ", ".join(f"{name}::varchar" for name in names)))
