"""`lakefeed init --from`: from another tool's file to a project that runs without an edit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lakefeed.errors import DeclarationError
from lakefeed.orchestration.checks.check import check
from lakefeed.orchestration.project.init import InitReport, init_project
from lakefeed.render.init import render_init
from tests.conftest import Database, Lake

pytestmark = pytest.mark.builds

EXPORTS = Path(__file__).parent / "exports"
FILES = ("replication.yaml", "meltano.yml", "connection.json", "catalog.json", "config.toml")
SHOP = (
    "create schema sales",
    "create table orders (order_id int primary key, status text, total numeric,"
    " updated_at timestamptz)",
    "create index on orders (updated_at)",
    "create table customers (id int primary key, name text, email text, internal_note text,"
    " internal_score int, updated_at timestamptz)",
    'create table "Order Lines" (order_id int, line int, qty int, changed timestamp,'
    " primary key (order_id, line))",
    "create table events (id int, at timestamptz, note text)",
    "create table secrets (id int primary key)",
    "create table unnamed (id int primary key)",
    "create view big_orders as select * from orders where total > 100",
    "create table sales.territory (id int primary key, name text)",
    "create table sales.quota (id int primary key)",
    "insert into orders select g, case when g % 5 = 0 then 'draft' else 'paid' end, g, now()"
    " from generate_series(1, 10) as g",
    "insert into customers select g, 'n', 'e@x', 'i', 1, now() from generate_series(1, 3) as g",
    'insert into "Order Lines" select 1, g, 2, now() from generate_series(1, 4) as g',
    "insert into events select g, now(), 'x' from generate_series(1, 5) as g",
    "insert into sales.territory values (1, 'North')",
)


@pytest.fixture
def shop(database: Database) -> Database:
    database.execute(*SHOP)
    return database


def made_from(file: str, shop: Database, folder: Path) -> InitReport:
    return init_project(folder, shop.url, "acme", (), export=EXPORTS / file)


def declared(folder: Path) -> dict[str, Any]:
    text = (folder / "sources.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text)["sources"]["acme"]["tables"])


@pytest.mark.by_day(1)
@pytest.mark.parametrize("file", FILES)
def test_a_project_made_from_another_tools_file_runs_without_an_edit(
    file: str, shop: Database, tmp_path: Path
) -> None:
    made_from(file, shop, tmp_path)
    lake = Lake(tmp_path)

    ended = lake.command("run")

    assert ended.returncode == 0, ended
    assert check(lake.project).errors == ()


@pytest.mark.parametrize("file", FILES)
def test_no_secret_of_another_tools_file_is_copied_or_printed(
    file: str, shop: Database, tmp_path: Path
) -> None:
    told = render_init(made_from(file, shop, tmp_path))

    assert "hunter2" in (EXPORTS / file).read_text() or file == "catalog.json"
    assert "hunter2" not in told
    texts = [path.read_text(errors="ignore") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in texts if "hunter2" in text]
    assert "connection: ${ACME_DATABASE_URL}" in (tmp_path / "sources.yaml").read_text()


def test_a_sling_replication_is_carried_over(shop: Database, tmp_path: Path) -> None:
    report = made_from("replication.yaml", shop, tmp_path)

    assert declared(tmp_path) == {
        "Order Lines": {
            "cursor": {"column": "changed", "timezone": "UTC"},
            "columns": {"include": ["order_id", "line", "qty"], "qty": {"name": "quantity"}},
        },
        "big_orders": {"mode": "full_refresh"},
        "customers": {
            "cursor": "updated_at",
            "columns": {
                "exclude": ["internal_note", "internal_score"],
                "email": {"hash": "sha256"},
            },
        },
        "events": {"mode": "append", "cursor": "at"},
        "orders": {
            "cursor": "updated_at",
            "where": "status <> 'draft'",
            "deletes": "mark",
            "tags": ["core"],
        },
        "paid": {
            "query": "select order_id, total, updated_at as changed\nfrom orders\n"
            "where status = 'paid' and true\n",
            "cursor": "changed",
            "primary_key": ["order_id"],
        },
        "sales.quota": {"mode": "full_refresh"},
        "sales.territory": {"mode": "full_refresh"},
        "secrets": {"mode": "full_refresh", "enabled": False},
        "totals": {
            "query": "select status, sum(total) as total from orders group by 1\n",
            "mode": "full_refresh",
        },
    }
    snapshot = "mode `snapshot`: staging has the newest rows; `history: true` keeps versions"
    assert set(report.not_carried) == {
        ("env", "this section"),
        ("defaults", "`target_options.add_new_columns`"),
        ("public.customers", "`transforms` of `name`"),
        ("public.old_orders", "not in the database"),
        (
            "public.totals",
            "no `update_key`, so it is read whole, and deleted rows leave staging",
        ),
        ("public.orders_again", '`sql`: relation "nothing" does not exist'),
        ("public.since", "`sql`: a query with variables"),
        ("public.both", "`sql`: it contains more than one statement"),
        ("sales.*", "`hooks`"),
        ("sales.quota", snapshot),
        ("sales.territory", snapshot),
    }
    assert (report.unnamed, report.appended) == (1, 1)
    doubts = [doubt for name, doubt in report.warnings if name == "events"]
    assert "a row that is updated is missed, or kept a second time" in doubts[0]
    assert " incremental, 1 append, " in render_init(report)


def test_a_table_without_a_key_is_read_whole_if_its_rows_are_updated(
    shop: Database, tmp_path: Path
) -> None:
    shop.execute("update events set note = 'changed'", "select pg_stat_force_next_flush()")

    report = made_from("replication.yaml", shop, tmp_path)

    assert declared(tmp_path)["events"] == {"mode": "full_refresh"}
    why = "incremental: it has no primary key, so it is read whole"
    assert ("public.events", why) in report.not_carried


def test_a_meltano_extractor_is_carried_over(shop: Database, tmp_path: Path) -> None:
    report = made_from("meltano.yml", shop, tmp_path)

    assert declared(tmp_path) == {
        "Order Lines": {
            "cursor": {"column": "changed", "timezone": "UTC"},
            "columns": {"exclude": ["qty"]},
        },
        "customers": {
            "cursor": "updated_at",
            "deletes": "remove",
            "columns": {"exclude": ["email", "internal_note", "internal_score"]},
        },
        "events": {"cursor": "at", "primary_key": ["id", "at"]},
        "orders": {"cursor": "updated_at", "where": "(status <> 'draft') and (total >= 0)"},
        "sales.quota": {"mode": "full_refresh"},
        "sales.territory": {"mode": "full_refresh"},
        "secrets": {"mode": "full_refresh", "enabled": False},
    }
    assert set(report.not_carried) == {
        ("loaders", "this section"),
        ("schedules", "this section"),
        ("environment prod", "its settings"),
        ("config", "`dates_as_string`"),
        ("public-gone.*", "matches no table in the database"),
        (
            "public.customers",
            "email is hashed or masked there, so it is left out: no clear values",
        ),
        ("public.customers", "`name` of `stream_maps`"),
        (
            "public.customers",
            "reading the database's log: deleted rows are found by comparing keys",
        ),
    }


def test_an_airbyte_connection_is_carried_over(shop: Database, tmp_path: Path) -> None:
    report = made_from("connection.json", shop, tmp_path)

    assert declared(tmp_path) == {
        "Order Lines": {"cursor": {"column": "changed", "timezone": "UTC"}},
        "customers": {
            "cursor": "updated_at",
            "deletes": "remove",
            "columns": {"exclude": ["email"]},
        },
        "orders": {
            "cursor": "updated_at",
            "columns": {"include": ["order_id", "total", "updated_at"]},
        },
        "sales.territory": {"mode": "full_refresh"},
    }
    assert set(report.not_carried) == {
        ("connection", "`schedule`"),
        ("connection", "`operations`"),
        ("public.gone", "not in the database"),
        (
            "public.customers",
            "email is hashed or masked there, so it is left out: no clear values",
        ),
        ("public.customers", "mapper `row-filtering`"),
        (
            "public.customers",
            "reading the database's log: deleted rows are found by comparing keys",
        ),
        (
            "sales.territory",
            "append: staging has the newest rows; `history: true` keeps versions",
        ),
    }


def test_an_airbyte_catalog_is_carried_over(shop: Database, tmp_path: Path) -> None:
    """By `xmin`, since the source defines the cursor and doesn't read the log."""
    report = made_from("catalog.json", shop, tmp_path)

    assert "3 tables: 1 incremental, 2 full refresh (1 paused)." in render_init(report)

    assert declared(tmp_path) == {
        "customers": {"mode": "full_refresh", "enabled": False},
        "orders": {"cursor": "xmin", "columns": {"exclude": ["status"]}},
        "sales.territory": {"mode": "full_refresh"},
    }


def test_dlts_settings_are_carried_over(shop: Database, tmp_path: Path) -> None:
    report = made_from("config.toml", shop, tmp_path)

    assert declared(tmp_path) == {
        "Order Lines": {"cursor": "line", "lookback": 0},
        "customers": {"mode": "full_refresh", "columns": {"exclude": ["email"]}},
        "events": {"cursor": "at", "primary_key": ["id", "at"]},
        "orders": {
            "cursor": {"column": "updated_at", "initial_value": "2024-01-01T00:00:00+00:00"},
            "lookback": "3600s",
            "columns": {"include": ["order_id", "total", "updated_at"]},
            "on_null_cursor": "exclude",
        },
    }
    assert set(report.not_carried) == {
        ("gone", "not in the database"),
        ("public.customers", "`merge_key`"),
        ("public.events", "`incremental.end_value`"),
        (
            "public.events",
            "`write_disposition` `append`: staging has the newest row of each key; `history: true` "
            "keeps versions",
        ),
    }


def test_wildcards_and_whole_schemas_leave_out_views(shop: Database, tmp_path: Path) -> None:
    sling, dlt = tmp_path / "r.yaml", tmp_path / "config.toml"
    sling.write_text("source: A\ntarget: B\nstreams: {'public.*': {}}\n")
    dlt.write_text('[sources.sql_database]\nbackend = "pyarrow"\ninclude_views = true\n')
    tables = ["Order Lines", "customers", "events", "orders", "secrets", "unnamed"]

    for file in (sling, dlt):
        report = init_project(tmp_path / file.stem, shop.url, "acme", (), export=file)
        assert list(declared(tmp_path / file.stem)) == tables
    # dlt was asked for views, and Sling's wildcard wasn't.
    left = ("sql_database", "`include_views`: no view is declared; add those that you need")
    assert report.not_carried == (left,)


def test_the_rest_is_a_comment_and_stands_on_the_terminal(shop: Database, tmp_path: Path) -> None:
    ended = Lake(tmp_path).command(
        *("init", "--connection", shop.url, "--from", str(EXPORTS / "replication.yaml"))
    )
    text = (tmp_path / "sources.yaml").read_text()

    assert ended.returncode == 0, ended
    assert "\n# Not carried over from replication.yaml:\n" in text
    assert "\n#   public.old_orders: not in the database\n" in text
    assert "key order_id; as in Sling\n" in text
    assert "  not carried over: public.old_orders: not in the database\n" in ended.stdout
    assert "  note: the same schemas have 1 other table that the file doesn't load\n" in (
        ended.stdout
    )


def test_a_cursor_that_the_table_lacks_or_that_cannot_be_one_is_replaced_and_named(
    shop: Database, tmp_path: Path
) -> None:
    file = tmp_path / "replication.yaml"
    file.write_text(
        "source: A\ntarget: B\ndefaults: {mode: incremental, primary_key: [id]}\nstreams:\n"
        "  public.customers: {update_key: changed_at}\n"
        "  public.orders: {update_key: status, primary_key: nr, where: 'at > {x}'}\n"
    )

    report = init_project(tmp_path / "new", shop.url, "acme", (), export=file)

    assert declared(tmp_path / "new") == {
        "customers": {"cursor": "updated_at"},
        "orders": {"cursor": "updated_at"},
    }
    assert report.not_carried == (
        ("public.customers", "cursor changed_at: the table has no readable column of this name"),
        ("public.orders", "primary key: the table has no readable column nr"),
        ("public.orders", "cursor status: a column of type text can't be a cursor"),
        ("public.orders", "where: a condition with variables"),
    )


def test_airbytes_hashes_by_sha_256_and_its_new_names_are_carried_over(
    shop: Database, tmp_path: Path
) -> None:
    mappers = [
        {
            "type": "hashing",
            "mapperConfiguration": {
                "targetField": "email",
                "method": "SHA-256",
                "fieldNameSuffix": "_hashed",
            },
        },
        *(
            {
                "type": "field-renaming",
                "mapperConfiguration": {"originalFieldName": column, "newFieldName": name},
            }
            for column, name in (("name", "Full Name"), ("internal_note", "name"))
        ),
    ]
    stream = {"name": "customers", "namespace": "public", "syncMode": "full_refresh_overwrite"}
    file = tmp_path / "connection.json"
    streams = {"streams": [{**stream, "mappers": mappers}]}
    file.write_text(json.dumps({"configurations": streams}))

    report = init_project(tmp_path / "new", shop.url, "acme", (), export=file)

    assert declared(tmp_path / "new")["customers"]["columns"] == {
        "name": {"name": "Full Name"},
        "email": {"hash": "sha256", "name": "email_hashed"},
    }
    assert report.not_carried == (("public.customers", "internal_note isn't renamed to name"),)


def test_a_column_that_is_deselected_there_and_the_proposed_cursor_here_is_loaded(
    shop: Database, tmp_path: Path
) -> None:
    file = tmp_path / "meltano.yml"
    file.write_text(
        "plugins:\n  extractors:\n"
        "  - {name: tap-postgres, select: [public-customers.id, public-customers.name], "
        "metadata: {public-customers: {replication-method: LOG_BASED}}}\n"
    )

    report = init_project(tmp_path / "new", shop.url, "acme", (), export=file)

    assert declared(tmp_path / "new")["customers"] == {
        "cursor": "updated_at",
        "deletes": "remove",
        "columns": {"exclude": ["email", "internal_note", "internal_score"]},
    }
    told = "columns: updated_at is the key or the cursor, so it is loaded"
    assert ("public.customers", told) in report.not_carried


def test_a_selection_that_another_extractor_overrides_is_named(
    shop: Database, tmp_path: Path
) -> None:
    file = tmp_path / "meltano.yml"
    file.write_text(
        "plugins:\n  extractors:\n"
        "  - {name: tap-postgres, select: [public-orders.*], "
        "config: {default_replication_method: INCREMENTAL}}\n"
        "  - {name: tap-shop, inherit_from: tap-postgres, select: [public-customers.*]}\n"
    )

    report = init_project(tmp_path / "new", shop.url, "acme", (), export=file)

    assert list(declared(tmp_path / "new")) == ["customers"]
    assert set(report.not_carried) == {
        ("tap-postgres", "its `select`: `tap-shop`, which inherits from it, has its own"),
        ("public.customers", "incremental without a cursor"),
    }


def test_a_table_whose_key_is_hashed_there_is_not_declared(shop: Database, tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text(
        "source: A\ntarget: B\nstreams:\n  public.orders: {}\n"
        "  public.customers: {transforms: {id: [hash_md5]}}\n"
    )

    report = init_project(tmp_path / "new", shop.url, "acme", (), export=file)

    assert list(declared(tmp_path / "new")) == ["orders"]
    assert report.not_carried == (
        ("public.customers", "its key or cursor id is hashed or masked: not declared"),
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: b: c", "a.yaml:1: not valid YAML, JSON or TOML"),
        ("a.json", '{"a": hunter2}', "a.json:1: not valid YAML, JSON or TOML"),
        ("a.toml", "a = hunter2", "a.toml: not valid YAML, JSON or TOML"),
        ("a.yaml", "models: []", "a.yaml isn't a file of a tool that Lakefeed knows"),
        ("a.yaml", "", "a.yaml isn't a file of a tool that Lakefeed knows"),
        (
            "meltano.yml",
            "plugins: {extractors: [{name: tap-github}]}",
            "no extractor named tap-postgres",
        ),
        (
            "meltano.yml",
            "plugins: {extractors: [{name: tap-postgres}, {name: a, inherit_from: tap-postgres},"
            " {name: b, inherit_from: tap-postgres}]}",
            "the file has 2 extractors for PostgreSQL: a, b",
        ),
        (
            "r.yaml",
            "source: A\nstreams: {public.nothing: {}}",
            "r.yaml (Sling) names no table of this database",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_before_anything_is_written(
    name: str, text: str, message: str, shop: Database, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_text(text)

    with pytest.raises(DeclarationError) as refused:
        init_project(tmp_path / "new", shop.url, "acme", (), export=file)

    assert message in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert not (tmp_path / "new").exists()


def test_a_file_and_schemas_are_refused_together(shop: Database, tmp_path: Path) -> None:
    ended = Lake(tmp_path).command(
        *("init", "--connection", shop.url, "--schema", "sales"),
        *("--from", str(EXPORTS / "meltano.yml")),
    )

    assert ended.returncode == 2
    assert "--from doesn't go with schemas" in ended.stderr
