"""`lakefeed init`: from a URL to a project that runs without an edit."""

from __future__ import annotations

import py_compile
import re
import stat
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from lakefeed.declaration.project import open_project
from lakefeed.errors import DeclarationError, Refused, SourceUnreachable
from lakefeed.orchestration.checks.check import check
from lakefeed.orchestration.project.init import init_project
from lakefeed.orchestration.project.scaffold import write_scaffold
from lakefeed.render.init import render_init
from tests.conftest import Database, Lake

SHOP = (
    """create function touch() returns trigger language plpgsql as $$
    begin new.changed := now(); return new; end $$""",
    "create table by_trigger (id int primary key, changed timestamptz, updated_at timestamptz)",
    "create trigger touch before update on by_trigger for each row execute function touch()",
    "create table by_name (id int primary key, created_at timestamptz default now(),"
    " updated_at timestamptz not null default now())",
    "create index on by_name (updated_at)",
    "create table bare (id int primary key, modified timestamp default now())",
    "create table no_cursor (id int primary key, note text)",
    "create table no_key (note text, updated_at timestamptz)",
    'create table "Order Items" ("Order Id" int primary key, "on" text)',
    'create table "no_CURSOR" (id int primary key)',
    "create view seen as select 1 as one",
    "insert into by_name select g from generate_series(1, 7) as g",
    'insert into "Order Items" values (1, null)',
)


@pytest.fixture
def shop(database: Database, tmp_path: Path) -> Lake:
    database.execute(*SHOP)
    init_project(tmp_path, database.url, "acme", ("public",))
    return Lake(tmp_path)


def declared(lake: Lake) -> dict[str, object]:
    text = (lake.root / "sources.yaml").read_text()
    tables: dict[str, object] = yaml.safe_load(text)["sources"]["acme"]["tables"]
    return tables


def test_a_project_made_by_init_runs_without_an_edit(shop: Lake) -> None:
    ended = shop.process("run", LAKEFEED_TEST_URL="")

    assert ended.returncode == 0, ended
    assert shop.query('select count(*) from staging."stg_acme__order_items"') == [(1,)]
    assert check(shop.project).errors == ()


def test_generated_models_pass_the_linter(shop: Lake) -> None:
    (shop.root / "dbt/models/marts/loud.sql").write_text("SELECT 1 AS one\n")

    linted = subprocess.run(
        [Path(sys.executable).with_name("sqlfluff"), "lint", "dbt"],
        cwd=shop.root, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert re.findall(r"== \[(.*)\] FAIL", linted.stdout) == ["dbt/models/marts/loud.sql"]
    assert "CP01" in linted.stdout


def test_init_chooses_cursors_and_says_why(shop: Lake) -> None:
    text = (shop.root / "sources.yaml").read_text()

    assert declared(shop) == {
        "Order Items": {"mode": "full_refresh"},
        "bare": {"cursor": {"column": "modified", "timezone": "UTC"}},
        "by_name": {"cursor": "updated_at"},
        "by_trigger": {"cursor": "changed"},
        "no_CURSOR": {"mode": "full_refresh", "name": "no_cursor_2"},
        "no_cursor": {"mode": "full_refresh"},
        "no_key": {"mode": "full_refresh"},
    }
    assert re.search(r"# about 7 rows, \d+ kB; key id; has a default, indexed, not null\n", text)
    assert "maintained by a trigger" in text
    assert "check the timezone" in text


def test_the_secret_is_written_only_to_env_readable_only_by_its_owner(
    shop: Lake, database: Database
) -> None:
    secret = shop.root / ".env"

    assert f"ACME_DATABASE_URL='{database.url}'" in secret.read_text()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert "/.env" in (shop.root / ".gitignore").read_text()
    others = [p for p in shop.root.rglob("*") if p.is_file() and p != secret]
    assert not [p for p in others if database.url in p.read_text(errors="ignore")]


def test_the_source_is_named_after_the_database_by_default(
    database: Database, tmp_path: Path
) -> None:
    database.execute(*SHOP)
    init_project(tmp_path, database.url, None, ("public",))

    (name,) = open_project(tmp_path).declaration.sources
    assert f"/{name}?" in database.url


def test_another_schema_can_be_read(database: Database, tmp_path: Path) -> None:
    database.execute("create schema audit", "create table audit.events (id int primary key)")
    init_project(tmp_path, database.url, "acme", ("audit",))

    (table,) = open_project(tmp_path).tables
    assert table.qualified == "audit.events"


def test_tables_that_the_role_may_not_read_are_left_out_and_reported(
    database: Database, tmp_path: Path
) -> None:
    database.execute(
        "create table open (id int primary key, ssn text)",
        "create table closed (id int primary key)",
        "drop role if exists reader",
        "create role reader login",
        "grant select (id) on open to reader",
    )
    url = database.url.replace("postgres:@", "reader:@")
    report = init_project(tmp_path, url, "acme", ("public",))
    ran = Lake(tmp_path).command("run")
    database.execute("drop owned by reader", "drop role reader")

    assert report.left_out == (("public.closed", "this role may not read it"),)
    assert declared(Lake(tmp_path)) == {
        "open": {"mode": "full_refresh", "columns": {"exclude": ["ssn"]}}
    }
    assert ran.returncode == 0, ran


def test_init_refuses_a_folder_with_a_project(shop: Lake, database: Database) -> None:
    before = (shop.root / "sources.yaml").read_text()

    with pytest.raises(Refused, match="this folder already has a project"):
        init_project(shop.root, database.url, "acme", ("public",))
    assert (shop.root / "sources.yaml").read_text() == before


def test_init_refuses_if_the_variable_has_another_url(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(*SHOP)
    monkeypatch.setenv("ACME_DATABASE_URL", "postgresql://elsewhere/other")

    with pytest.raises(Refused, match="ACME_DATABASE_URL is already set"):
        init_project(tmp_path, database.url, "acme", ("public",))
    assert list(tmp_path.iterdir()) == []


def test_a_schema_without_tables_is_refused_with_a_list_of_those_that_have_some(
    database: Database, tmp_path: Path
) -> None:
    with pytest.raises(DeclarationError, match="no schema of this database has any"):
        init_project(tmp_path, database.url, "acme", ("public",))
    database.execute(
        "create schema sales",
        "create schema person",
        "create table sales.a (id int)",
        "create table sales.b (id int)",
        "create table person.c (id int)",
    )

    with pytest.raises(DeclarationError) as refused:
        init_project(tmp_path, database.url, "acme", ("public",))
    report = init_project(tmp_path, database.url, "acme", ("sales",))

    assert str(refused.value) == (
        "schema `public` has no tables\n"
        "  other schemas have tables: person (1), sales (2); to declare some of them, or all:\n"
        '  lakefeed init --connection "$URL" --schema person --schema sales\n'
        '  lakefeed init --connection "$URL" --all-schemas'
    )
    assert "other schemas contain tables: person (1);" in render_init(report)


SCHEMAS = (
    "create schema person",
    "create schema sales",
    "create schema sales_old",
    "create table person.address (id int primary key, modifieddate timestamptz)",
    "create table person.phone (id int primary key)",
    "create table sales.address (id int primary key)",
    "create table sales_old.orders (id int primary key)",
    "insert into person.address values (1, now())",
    "insert into sales.address select generate_series(1, 2)",
)


def test_several_schemas_are_declared_together_and_run_without_an_edit(
    database: Database, tmp_path: Path
) -> None:
    database.execute(*SCHEMAS)
    lake = Lake(tmp_path)

    ended = lake.command(
        *("init", "--connection", database.url, "--source", "acme"),
        *("--schema", "person", "--schema", "sales*"),
    )
    ran = lake.command("run")

    assert ended.returncode == 0, ended
    assert declared(lake) == {
        "person.address": {"cursor": "modifieddate", "name": "person_address"},
        "person.phone": {"mode": "full_refresh"},
        "sales.address": {"mode": "full_refresh", "name": "sales_address"},
        "sales_old.orders": {"mode": "full_refresh"},
    }
    assert "other schemas" not in ended.stdout
    assert ran.returncode == 0, ran
    assert lake.query("select count(*) from staging.stg_acme__sales_address") == [(2,)]
    assert lake.query("select count(*) from staging.stg_acme__person_address") == [(1,)]


def test_all_schemas_are_those_of_users(database: Database, tmp_path: Path) -> None:
    database.execute(*SCHEMAS, "create table public.address (id int primary key)")

    ended = Lake(tmp_path).command(
        "init", "--connection", database.url, "--source", "acme", "--all-schemas"
    )

    assert ended.returncode == 0, ended
    assert list(declared(Lake(tmp_path))) == [
        *("person.address", "person.phone", "address", "sales.address", "sales_old.orders")
    ]
    assert {table.qualified: table.short_name for table in open_project(tmp_path).tables} == {
        "person.address": "person_address",
        "person.phone": "phone",
        "public.address": "address",
        "sales.address": "sales_address",
        "sales_old.orders": "orders",
    }


def test_all_schemas_and_one_of_them_are_refused_together(
    database: Database, tmp_path: Path
) -> None:
    ended = Lake(tmp_path).command(
        "init", "--connection", database.url, "--all-schemas", "--schema", "a"
    )

    assert ended.returncode == 2
    assert "--all-schemas doesn't go with --schema" in ended.stderr


def test_a_connection_that_fails_is_reported_before_a_project_or_source_name_exists(
    lake: Lake, tmp_path: Path
) -> None:
    with pytest.raises(SourceUnreachable) as failed:
        init_project(tmp_path / "new", "postgresql://me@127.0.0.1:1/shop", None, ("public",))

    assert str(failed.value) == (
        "can't connect to the database: connection refused (127.0.0.1:1, database shop, user me)\n"
        "  check host and port, and that the server is running and listens there"
    )
    assert not (tmp_path / "new").exists()


def test_existing_files_are_kept_and_listed(database: Database, tmp_path: Path) -> None:
    database.execute(*SHOP)
    write_scaffold(tmp_path)
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")

    report = init_project(tmp_path, database.url, "acme", ("public",))

    assert report.kept == ("Dockerfile",)
    assert (tmp_path / "Dockerfile").read_text() == "FROM scratch\n"
    assert "  kept Dockerfile: it already exists and differs from the template" in render_init(
        report
    )


def test_a_cursor_that_only_inserts_set_is_reported_in_the_terminal(
    database: Database, tmp_path: Path
) -> None:
    database.execute(
        "create table clicks (id int primary key, inserted_at timestamptz default now(), page text)"
    )

    told = render_init(init_project(tmp_path, database.url, "acme", ("public",)))

    assert (
        "  note: clicks: its cursor inserted_at is only set when a row is inserted, so later "
        "updates are missed\n" in told
    )


def wait_until_counted(database: Database, table: str, updates: int) -> None:
    """A session's statistics arrive once it has ended."""
    query = f"select pg_stat_get_tuples_updated('{table}'::regclass)"
    end = time.monotonic() + 20
    while database.rows(query) != [(updates,)]:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_cursor_that_only_inserts_set_is_not_chosen_where_the_server_knows_of_updates(
    database: Database, tmp_path: Path
) -> None:
    columns = "id int, inserted_at timestamptz default now(), page text, primary key (id)"
    database.execute(
        f"create table counted ({columns}) partition by range (id)",
        "create table counted_1 partition of counted for values from (1) to (9)",
        f"create table told ({columns})",
        f"create table untouched ({columns})",
        "create function tell() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger tell after update on told for each row execute function tell()",
        "insert into counted values (1)",
        "update counted set page = '/'",
    )
    wait_until_counted(database, "counted_1", 1)

    init_project(tmp_path, database.url, "acme", ("public",))

    text = (tmp_path / "sources.yaml").read_text()
    assert "rows are updated (1 update counted)\n      counted: {mode: full_refresh}" in text
    assert "rows are updated (a trigger on update)\n      told: {mode: full_refresh}" in text
    assert "untouched: {cursor: inserted_at}" in text


def test_what_many_tables_share_is_said_once(database: Database, tmp_path: Path) -> None:
    names = [f"jobs_{letter}" for letter in "abcdefg"]
    database.execute(
        *(f"create table {n} (id int primary key, inserted_at timestamptz default now())"
          for n in names)
    )  # fmt: skip

    told = render_init(init_project(tmp_path, database.url, "acme", ("public",)))

    assert told.count("only set when a row is inserted") == 1
    assert (
        "  note: 7 tables: its cursor inserted_at is only set when a row is inserted, so later "
        "updates are missed\n    jobs_a, jobs_b, jobs_c, jobs_d, jobs_e and 2 more\n" in told
    )


def test_the_command_lists_what_it_wrote_and_the_next_steps(
    database: Database, tmp_path: Path
) -> None:
    database.execute(*SHOP)

    ended = Lake(tmp_path).command("init", "--connection", database.url, "--source", "acme")

    assert ended.returncode == 0
    assert "  wrote sources.yaml\n" in ended.stdout
    assert ended.stdout.endswith(
        "7 tables: 3 incremental, 4 full refresh.\n"
        "Rows deleted in the source stay in staging of the 3 incremental tables; to remove or mark "
        "them, set `deletes` (what that scans: lakefeed check --connect).\n"
        "Review sources.yaml, then run:\n  lakefeed run\n"
    )


def test_bytecode_in_the_template_is_not_copied_into_a_project(tmp_path: Path) -> None:
    template = (
        files("lakefeed.orchestration.project") / "template/airflow/dags/de_batch_pipeline.py"
    )
    compiled = Path(str(py_compile.compile(str(template), doraise=True)))
    try:
        written, _ = write_scaffold(tmp_path)
    finally:
        compiled.unlink()

    assert "airflow/dags/de_batch_pipeline.py" in written
    assert not [name for name in written if "__pycache__" in name]
