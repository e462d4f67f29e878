"""Random writers against runs that are killed at random: at the end nothing is lost or doubled."""

from __future__ import annotations

import os
import random
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from pipelines.lab.kill import lakefeed_perhaps_killed
from pipelines.lab.writers import writing
from tests.conftest import NIGHTLY, Database, Lake

pytestmark = [pytest.mark.faults, pytest.mark.nightly]

STEPS = 200 if NIGHTLY else 10
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
)
TABLES = """
customers: {cursor: updated_at, deletes: remove, max_shrink: 100%, history: true}
orders: {cursor: updated_at, deletes: remove, max_shrink: 100%, history: true}
rates: {mode: full_refresh, max_shrink: 100%}
"""
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
    """Whoever uses the source: short transactions, and some that stay open."""

    database: Database
    choose: random.Random
    open_ones: list[Any] = field(default_factory=list)
    changes: int = 0

    def statement(self) -> str:
        number = self.choose.randrange(1, 200)
        kind = self.choose.choice(
            ["customer", "order", "order", "update", "update", "delete", "rate"]
        )
        return {
            "customer": f"insert into customers (id) values ({number}) on conflict do nothing",
            "order": f"insert into orders (id, customer_id, amount) select {number * 7 % 500}, id,"
            f" {number}.25 from customers order by id limit 1 on conflict do nothing",
            "update": f"update orders set amount = amount + 1 where id % 50 = {number % 50}",
            "delete": f"delete from customers where id = {number}",
            "rate": f"insert into rates values ('c{number}', {number} / 7.0)",
        }[kind]

    def write(self) -> None:
        """A transaction of one to three statements, which may stay open for a while."""
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
        if self.choose.random() < 0.2:
            self.open_ones.append(session)
        else:
            session.commit()
            session.close()

    def end_open_ones(self) -> None:
        for session in self.open_ones:
            session.commit() if self.choose.random() < 0.8 else session.rollback()
            session.close()
        self.open_ones.clear()


def test_random_writers_against_runs_that_are_killed_at_random(
    database: Database, lake: Lake
) -> None:
    say(f"seed {SEED}, to repeat: LAKEFEED_TORTURE_SEED={SEED} make test-faults")
    choose = random.Random(SEED)
    database.execute(*SCHEMA)
    lake.declare(TABLES)
    writer = Writer(database, choose)
    ddl, killed = list(DDL), 0
    for _ in range(20):
        writer.write()

    for _ in range(STEPS):
        for _ in range(choose.randrange(0, 10)):
            writer.write()
        if ddl and choose.random() < 0.4:
            writer.end_open_ones()
            database.execute(ddl.pop(0))
        if choose.random() < 0.5:
            writer.end_open_ones()
        with writing([writer]):
            killed += lakefeed_perhaps_killed(lake.root, choose, "run")
        if choose.random() < 0.15:
            shutil.rmtree(lake.root / "data" / ".dlt", ignore_errors=True)

    writer.end_open_ones()
    ended = lake.command("run")
    say(f"{writer.changes} transactions, {killed} runs killed\n{ended.stdout}")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    audited = lake.command("audit")
    assert audited.returncode == 0, audited.stdout
    for table in ("customers", "orders", "rates"):
        assert staged(lake, table) == in_the_source(database, table)
        assert versions_in_raw(lake, table) >= set(in_the_source(database, table))
    rebuilt = lake.root / "data" / "rebuilt.duckdb"
    ended = lake.command("rebuild", "--output", str(rebuilt))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for table in ("customers", "orders"):
        assert rows_of(lake, table, "history.hst", "where is_current") == staged(lake, table)
        assert history(lake.project.warehouse, table) == history(rebuilt, table)


def say(line: str) -> None:
    """For pytest to show where the test fails."""
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


def history(warehouse: Path, table: str) -> list[tuple[Any, ...]]:
    """All versions, value by value; batches count the builds of one file."""
    query = f"select * exclude (_staged_batch) from history.hst_shop__{table} order by all"
    with duckdb.connect(warehouse, read_only=True) as session:
        return session.execute(query).fetchall()


def versions_in_raw(lake: Lake, table: str) -> set[tuple[Any, ...]]:
    known = lake.project.table(f"shop__{table}").catalogue
    assert known is not None
    names = sorted(column.name for column in known.columns if "timestamp" not in column.type)
    return set(lake.raw(f"shop__{table}", ", ".join(f"{name}::varchar" for name in names)))
