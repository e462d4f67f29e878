"""`lakefeed plan` says what the next run would do; `run --plan` does it, or refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Database, Lake

TABLES = """
orders: {cursor: at, lookback: 1h}
countries: {mode: full_refresh}
"""


@pytest.fixture
def shop(database: Database, lake: Lake) -> Lake:
    """Two tables, a mart over one of them, and nothing loaded yet."""
    database.execute(
        "create table orders (id int primary key, at timestamptz default now(), note text)",
        "insert into orders select g, now() - (5001 - g) * interval '1 minute'"
        " from generate_series(1, 5000) g",
        "create index on orders (at)",
        "create table countries (code text primary key)",
        "insert into countries values ('AT'), ('BE')",
        "analyze",
    )
    (lake.root / "dbt/models/marts/of_orders.sql").write_text(
        "select id from {{ ref('stg_shop__orders') }}"
    )
    return lake.declare(TABLES)


def planned(lake: Lake, *options: str) -> dict[str, Any]:
    done = lake.command("plan", "--json", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_before_the_first_run_all_of_each_table_is_to_be_read(shop: Lake) -> None:
    plan = planned(shop)

    orders, countries = plan["loads"]
    assert (orders["start"], orders["reasons"]) == (None, ["first load"])
    assert orders["estimate"]["rows"] == 5000
    assert countries["reads_whole"]
    assert countries["estimate"]["rows"] == 2
    assert plan["is_first"]


def test_later_only_what_is_new_is_to_be_read_by_the_index(database: Database, shop: Lake) -> None:
    shop.run()
    database.execute("insert into orders values (5001)", "analyze orders")

    plan = planned(shop)

    estimate = plan["loads"][0]["estimate"]
    assert 1 <= estimate["rows"] < 100
    assert not estimate["scans"]
    assert plan["models"] == ["stg_shop__orders", "of_orders", "stg_shop__countries"]
    assert not plan["is_first"]


def test_the_run_then_does_what_the_plan_says(database: Database, shop: Lake) -> None:
    shop.run()
    database.execute("insert into orders values (5001)")

    plan, report = planned(shop, "--select", "shop.orders"), shop.run("shop.orders")

    assert [load["name"] for load in plan["loads"]] == [table.name for table in report.tables]
    assert plan["loads"][0]["checkpoint"] == report.tables[0].checkpoint_before
    assert report.build is not None
    built = {node.name for node in report.build.nodes if not node.is_test}
    assert built == set(plan["models"])


def test_a_plan_changes_nothing(shop: Lake) -> None:
    before = {p: p.read_bytes() for p in shop.root.rglob("*") if p.is_file()}

    planned(shop)

    assert {p: p.read_bytes() for p in shop.root.rglob("*") if p.is_file()} == before


def test_it_reads_like_this(database: Database, shop: Lake) -> None:
    shop.run()
    database.execute("insert into orders values (5001)", "alter table orders add column extra int")

    told = shop.command("plan").stdout

    assert "shop.countries   all rows" in told
    assert "rows and sizes are the planner's estimates" in told
    assert "shop.orders: column `extra` (integer) was added" in told
    assert "dbt would build and test up to 3 models" in told
    assert "  stg_shop__orders, of_orders, stg_shop__countries" in told


def test_a_table_that_would_fail_is_told_and_fails_the_plan(database: Database, shop: Lake) -> None:
    shop.run()
    database.execute("alter table orders drop column at")

    done = shop.command("plan")

    assert done.returncode == 1
    assert "shop.orders would fail: " in done.stdout
    assert "of_orders" not in done.stdout


def test_a_reviewed_plan_is_carried_out(database: Database, shop: Lake) -> None:
    shop.run()
    planned(shop, "--select", "shop.orders", "--save", "plan.json")
    database.execute("insert into orders values (5001)", "insert into countries values ('CH')")

    done = shop.command("run", "--plan", "plan.json")

    assert done.returncode == 0, done.stderr
    assert shop.query("select count(*) from marts.of_orders") == [(5001,)]
    assert shop.query("select count(*) from staging.stg_shop__countries") == [(2,)]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("alter table orders add column extra int", "columns was id, at, note and is id, at, note"),
        ("drop table countries", "shop.countries: `public.countries` doesn't exist"),
    ],
)
def test_a_plan_that_no_longer_holds_is_refused(
    database: Database, shop: Lake, change: str, told: str
) -> None:
    shop.run()
    planned(shop, "--save", "plan.json")
    database.execute(change, "insert into orders values (5001)")

    done = shop.command("run", "--plan", "plan.json")

    assert done.returncode == 1
    assert "a run would no longer do what this plan says" in done.stderr
    assert told in done.stderr
    assert shop.query("select count(*) from marts.of_orders") == [(5000,)]


def test_an_edit_of_the_mode_is_another_plan(shop: Lake) -> None:
    shop.run()
    planned(shop, "--save", "plan.json")
    shop.declare(
        TABLES.replace("orders: {cursor: at, lookback: 1h}", "orders: {mode: full_refresh}")
    )

    done = shop.command("run", "--plan", "plan.json")

    assert "shop.orders: mode was incremental and is full_refresh" in done.stderr


@pytest.mark.by_day(2)
@pytest.mark.builds
@pytest.mark.parametrize(
    ("edit", "told"),
    [
        ("deletes: remove", "deletes was ignore and is remove"),
        ("history: true", "history was false and is true"),
        ("lookback: 9d", "lookback was 1h and is 9d"),
        ("columns: {note: {name: remark}}", "columns.note was - and is"),
        ("tags: [hourly]", ""),
    ],
)
def test_an_edit_of_what_a_run_does_is_another_plan(shop: Lake, edit: str, told: str) -> None:
    shop.run()
    planned(shop, "--save", "plan.json")
    others = "" if "lookback" in edit else "lookback: 1h, "
    shop.declare(f"orders: {{cursor: at, {others}{edit}}}\ncountries: {{mode: full_refresh}}")

    done = shop.command("run", "--plan", "plan.json")

    assert done.returncode == (1 if told else 0), done
    assert not told or f"shop.orders: {told}" in done.stderr


def test_a_plan_of_another_environment_is_refused(database: Database, shop: Lake) -> None:
    (shop.root / ".env.prod").touch()
    assert shop.command("--env", "prod", "plan", "--save", "plan.json").returncode == 0

    elsewhere = shop.command("run", "--plan", "plan.json")
    there = shop.command("--env", "prod", "run", "--plan", "plan.json")

    assert elsewhere.returncode == 1
    assert "the plan is of the environment `prod`, and this run of no environment" in (
        elsewhere.stderr
    )
    assert "lakefeed --env prod run --plan plan.json" in elsewhere.stderr
    assert there.returncode == 0, there.stderr


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"loads": 1}'])
def test_another_file_is_not_taken_for_a_plan(shop: Lake, content: str) -> None:
    (shop.root / "plan.json").write_text(content)

    done = shop.command("run", "--plan", "plan.json")

    assert done.returncode == 1
    assert "plan.json: not a plan that can be read" in done.stderr


def test_a_plan_takes_no_other_options(shop: Lake) -> None:
    done = shop.command("run", "--plan", "plan.json", "--select", "shop.orders")

    assert done.returncode == 2
    assert "--plan comes with its own tables and options" in done.stderr


@pytest.mark.builds
def test_an_edit_of_columns_in_staging_is_told_by_the_plan_and_the_run(
    database: Database, shop: Lake
) -> None:
    database.execute("alter table orders add column doc jsonb, add column parts int[]")
    shop.run()
    shop.declare(
        "orders: {cursor: at, lookback: 1h, columns: {note: {name: remark}, "
        "parts: {type: 'integer[]'}, doc: {flatten: {a: bigint, b.c: text}}}}\n"
        "countries: {mode: full_refresh}"
    )
    edits = [
        "shop.orders: fills `doc__a`, `doc__b__c` of all rows from raw",
        "shop.orders: renames column `note` to `remark` in staging; raw keeps `note`",
        "shop.orders: gives column `parts` the type integer[] in staging, from raw",
    ]

    planned_edits = shop.command("plan").stdout
    told_edits = shop.command("run").stdout

    assert "\n".join(edits) in planned_edits
    assert all(f"note: {edit}" in told_edits for edit in edits)
    assert "in staging" not in shop.command("plan").stdout


@pytest.mark.builds
def test_edits_of_what_is_read_are_told_by_the_plan_and_the_run(
    database: Database, shop: Lake
) -> None:
    database.execute("alter table orders add column local timestamp not null default now()")
    local = "cursor: {column: local, timezone: UTC}"
    shop.declare(f"orders: {{{local}}}\ncountries: {{mode: full_refresh}}").run()
    moved = local.replace("UTC", "Europe/Paris")
    shop.declare(
        f"orders: {{{moved}, columns: {{exclude: [note]}}}}\ncountries: {{mode: full_refresh}}"
    )
    notes = (
        "takes its cursor as time in Europe/Paris; the values in raw stay as they are",
        "no longer reads column `note`; staging keeps it, with null in new rows",
    )
    database.execute("insert into orders values (5001, default, 'x')")

    planned, (orders, _) = shop.command("plan").stdout, shop.run().tables

    assert all(f"shop.orders: {note}" in planned for note in notes)
    assert set(notes) <= set(orders.notes)
    assert shop.query(
        "select count(*), count(note) from staging.stg_shop__orders where id > 5000"
    ) == [(1, 0)]
    assert shop.run().tables[0].notes == ()


def test_models_that_the_run_would_generate_are_planned(database: Database, shop: Lake) -> None:
    shop.run()
    database.execute("create table added (id int primary key, at timestamptz default now())")
    shop.declare(f"{TABLES}added: {{cursor: at, history: true}}\n")
    database.execute("insert into added values (1)")

    plan, report = planned(shop), shop.run()

    assert report.build is not None
    assert {"stg_shop__added", "hst_shop__added"} <= set(plan["models"])
    assert {node.name for node in report.build.nodes if not node.is_test} <= set(plan["models"])


def test_a_table_that_gets_a_cursor_is_told_so(database: Database, shop: Lake) -> None:
    database.execute("alter table countries add column at timestamptz default now()")
    shop.run()
    shop.declare("countries: {cursor: at}")

    told = shop.command("plan").stdout

    assert "shop.countries: the cursor is `at` now, so the table is read from the beginning" in told


@pytest.mark.builds
def test_edits_of_what_loads_do_from_now_on_are_told_by_the_plan_and_once_by_the_run(
    shop: Lake,
) -> None:
    shop.run()
    shop.declare(
        "orders: {cursor: at, lookback: 9d, deletes: remove}\ncountries: {mode: full_refresh}"
    )
    edits = [
        "`deletes` was ignore and is remove: each load removes rows deleted in the source from "
        "staging; without `cursor: wal`, it compares all keys to find them",
        "`lookback` was 1h and is 9d: the next load starts this far before its checkpoint; the "
        "checkpoint is unchanged",
    ]

    planned, (orders, countries) = shop.command("plan").stdout, shop.run().tables

    assert all(f"shop.orders: {edit}" in planned for edit in edits)
    assert list(orders.notes) == edits
    assert countries.notes == ()
    assert "shop.orders: `lookback`" not in shop.command("plan").stdout
    assert shop.run().tables[0].notes == ()


def test_it_says_how_many_sessions_it_opens_and_which_statement_is_the_longest(
    database: Database, shop: Lake
) -> None:
    database.execute("insert into orders values (0, '-infinity', repeat('x', 100))", "analyze")
    shop.declare(TABLES, head="    max_connections: 2\n")

    plan, told = planned(shop), shop.command("plan").stdout

    assert plan["sessions"] == [{"source": "shop", "at_most": 2, "max_connections": 2}]
    assert plan["longest"]["table"] == "shop.orders"
    assert plan["longest"]["rows"] == 5001
    assert "longest statement: reading shop.orders, about 5,001 rows, " in told
    assert "sessions on shop: up to 2 (`max_connections: 2`)" in told


def test_it_says_what_comparing_all_keys_scans(database: Database, shop: Lake) -> None:
    tables = TABLES.replace("lookback: 1h", "deletes: remove")
    shop.declare(tables).run()

    plan, told = planned(shop), shop.command("plan").stdout
    orders, countries = plan["loads"]

    assert orders["finds_deleted"]
    assert (orders["keys"]["keys"], countries["keys"]) == (5000, None)
    assert "on; all keys, to find deleted rows" not in told
    assert "; all keys, to find deleted rows" in told
    size = orders["keys"]["size"]
    assert [(size,)] == database.rows("select pg_relation_size('orders')")
    assert "shop.orders compares about 5,000 keys, to find deleted rows: " in told
    assert "longest statement: comparing the keys of shop.orders, about 5,000 keys, " in told


@pytest.mark.builds
def test_it_says_which_tables_max_shrink_may_stop(database: Database, shop: Lake) -> None:
    tables = TABLES.replace("lookback: 1h", "deletes: remove")
    shop.declare(f"{tables}events: {{mode: full_refresh}}")
    database.execute("create table events as select g as id from generate_series(1, 1000) as g")
    shop.run()
    fewer = ("delete from orders where id > 2000", "delete from events where id > 200")
    database.execute(*fewer, "vacuum analyze orders", "vacuum analyze events")

    told, report = shop.command("plan").stdout, shop.run()

    assert [table.status for table in report.tables] == ["failed", "unchanged", "failed"]
    assert "needs a decision:" in told
    for name, now, before in (("orders", "2,000", "5,000"), ("events", "200", "1,000")):
        assert (
            f"  shop.{name} may be refused by `max_shrink` (20%): about {now} of at least {before} "
            "rows are left; if that is right, accept it with --allow-shrink"
        ) in told
    assert "max_shrink" not in shop.command("plan", "--allow-shrink").stdout


@pytest.mark.builds
def test_it_lists_paused_tables_and_counts_tests(shop: Lake) -> None:
    of_orders = "{columns: {id: {not_null: true}}, expressions: {positive: id > 0}}"
    tables = TABLES.replace("lookback: 1h", f"lookback: 1h, tests: {of_orders}")
    shop.declare(tables).run()
    shop.declare(f"{tables.replace('{mode: full_refresh}', '{enabled: false}')}")

    plan, told = planned(shop, "--full-refresh"), shop.command("plan", "--full-refresh").stdout
    report = shop.run(full_refresh=True)

    assert plan["paused"] == ["shop.countries"]
    assert "paused: shop.countries" in told
    assert report.build is not None
    assert plan["tests"] == len([node for node in report.build.nodes if node.is_test])
    assert f"up to 2 models with {plan['tests']} tests, downstream of" in told
    assert planned(shop, "--select", "shop.orders")["paused"] == []
