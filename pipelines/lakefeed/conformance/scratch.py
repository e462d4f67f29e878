"""Sets up the test project: its tables and models, in the warehouse that the user declares.

data/conformance/project     the project; a DuckDB file as the warehouse is in it
data/conformance/postgres    the embedded server of its source
<raw>/lakefeed_conformance  its raw layer, below the declared one
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2

from lakefeed.conformance.trial import SOURCE, Trial
from lakefeed.conformance.values import fill
from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.document.quoting import yaml_text
from lakefeed.declaration.environment.references import escaped
from lakefeed.declaration.environment.variables import variables_file
from lakefeed.declaration.project import Project
from lakefeed.demo.server import embedded_postgres
from lakefeed.errors import Refused
from lakefeed.loading.dlt_settings.environment import prepare_dlt
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.orchestration.project.scaffold import write_scaffold, write_secret
from lakefeed.orchestration.project.sync import sync
from lakefeed.source.connections.connection import connection_from_url
from lakefeed.source.connections.sessions import open_session
from lakefeed.transformation.warehouse.declared import warehouse_of

_VARIABLE = "LAKEFEED_CONFORMANCE_URL"
_DATABASE = "lakefeed_conformance"
_RAW = "lakefeed_conformance"
_APPLICATION = "lakefeed check --conformance"

_CHANGES = "at timestamptz not null default clock_timestamp()"
TABLES = (
    f"create table orders (id int primary key, amount numeric(9, 2), note text, {_CHANGES})",
    "insert into orders select i, i * 1.1, 'order ' || i from generate_series(1, 200) as i",
    f"create table lines (order_id int, line int, item text, {_CHANGES}, "
    "primary key (order_id, line))",
    "insert into lines select i, j, 'item ' || j "
    "from generate_series(1, 50) as i, generate_series(1, 3) as j",
    f'create table "Odd Names" ("The Key" text primary key, "select" int, "a.b" text, {_CHANGES})',
    f"create table customers (id int primary key, city text, {_CHANGES})",
    "insert into customers select i, 'city ' || i from generate_series(1, 20) as i",
    "create table changing (id int primary key, size int, price numeric(6, 2), old text, "
    f"{_CHANGES})",
    "insert into changing select i, i, i / 4.0, 'old' from generate_series(1, 20) as i",
    "create table accounts (id int primary key, balance int)",
    f"create table endless (id int primary key, d date, t timestamp, z timestamptz, {_CHANGES})",
    "insert into endless values (1, '2026-01-01', '2026-01-01', '2026-01-01')",
    "insert into accounts select i, case when i % 2 = 0 then 10 else -10 end "
    "from generate_series(1, 100) as i",
)
_DECLARED: dict[str, dict[str, Any]] = {
    "types": {"cursor": "at", "lookback": "1d"},
    "orders": {"cursor": "at", "deletes": "remove", "max_shrink": "90%"},
    "lines": {"cursor": "at", "deletes": "mark", "max_shrink": "90%"},
    '"Odd Names"': {"cursor": "at", "name": "odd"},
    "customers": {"cursor": "at", "history": True},
    "changing": {"cursor": "at"},
    "accounts": {"mode": "full_refresh"},
    "endless": {"mode": "full_refresh"},
}
_MODELS = {
    "models/marts/balances.sql": (
        f"select id, balance from {{{{ ref('stg_{SOURCE}__accounts') }}}}"
    ),
    "models/marts/total.sql": (
        "select count(*) as accounts, sum(balance) as total from {{ ref('balances') }}"
    ),
    "models/marts/in_credit.sql": (
        "{{ config(materialized='view') }} "
        "select id, balance from {{ ref('balances') }} where balance > 0"
    ),
    "tests/accounts_have_a_balance.sql": (
        "select id from {{ ref('balances') }} where balance is null"
    ),
}


@contextmanager
def scratch_trial(project: Project, server: str | None) -> Iterator[Trial]:
    """A test project on the declared engine, with a filled source; nothing is loaded yet.

    Side effects: replaces what an earlier test left; at the end, drops the test's database from the
    user's server.

    Args:
        server: the URL of any database of a PostgreSQL server; None for an embedded one.

    Raises:
        SourceUnreachable: the server can't be reached.
        Refused: the declared warehouse isn't an empty one.
    """
    folder = project.data / "conformance"
    shutil.rmtree(folder / "project", ignore_errors=True)
    with _database(folder / "postgres", server) as url:
        _fill(url, project)
        trial = Trial(folder / "project", url)
        _write_project(project, trial)
        _refuse_other_tables(project, trial)
        _remove_raw(trial)
        yield trial


def remove_scratch(trial: Trial) -> None:
    """Removes the project of a test and its raw layer; a catalogue keeps the test's tables."""
    _remove_raw(trial)
    shutil.rmtree(trial.root)


@contextmanager
def _database(folder: Path, server: str | None) -> Iterator[str]:
    if server is None:
        shutil.rmtree(folder, ignore_errors=True)
        with embedded_postgres(folder) as url:
            yield _created(url)
        shutil.rmtree(folder, ignore_errors=True)
        return
    try:
        yield _created(server)
    finally:
        _on(server, f"drop database if exists {_DATABASE} with (force)")


def _created(server: str) -> str:
    _on(server, f"drop database if exists {_DATABASE} with (force)")
    _on(server, f"create database {_DATABASE} template template0 encoding utf8")
    return psycopg2.extensions.make_dsn(server, dbname=_DATABASE)


def _on(server: str, statement: str) -> None:
    with closing(open_session(connection_from_url("--server", server), _APPLICATION)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(statement)


def _fill(url: str, project: Project) -> None:
    with closing(psycopg2.connect(url)) as session:
        fill(session, "types", engine=project.declaration.warehouse.type)
        with session.cursor() as cursor:
            for statement in TABLES:
                cursor.execute(statement)
            if project.declaration.warehouse.type == "bigquery":
                # Its names have no point.
                cursor.execute('alter table "Odd Names" rename column "a.b" to "a-b"')


def _write_project(project: Project, trial: Trial) -> None:
    root = trial.root
    write_scaffold(root)
    _copy_secrets(project.root, root)
    write_secret(variables_file(root), _VARIABLE, trial.url)
    (root / DECLARATION_FILE).write_text(yaml_text(_declaration(project)), encoding="utf-8")
    for name, text in _MODELS.items():
        (root / "dbt" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "dbt" / name).write_text(f"{text}\n", encoding="utf-8")
    prepare_dlt(root)
    sync(trial.project)


def _copy_secrets(project: Path, root: Path) -> None:
    """Copies what the declared warehouse and raw layer are reached by, readable by its owner."""
    for path in (variables_file(project), *(project / ".dlt").glob("*.toml")):
        if path.is_file():
            copy = root / path.relative_to(project)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.touch(mode=0o600)
            copy.write_bytes(path.read_bytes())


def _declaration(project: Project) -> dict[str, Any]:
    declared = project.declaration.warehouse
    warehouse: dict[str, Any] = {"type": declared.type, "keep": 3}
    if declared.type == "ducklake":
        place = declared.data_url or ""
        place = place if "://" in place else str(project.root / place)
        warehouse |= {"catalog_url": declared.catalog_url, "data_url": escaped(place)}
    elif declared.type == "spark":
        warehouse |= {"remote": declared.remote, "catalog": declared.catalog}
    elif declared.type == "snowflake":
        warehouse |= {
            "url": declared.url, "database": declared.database, "stage": declared.stage,
        }  # fmt: skip
    elif declared.type == "bigquery":
        warehouse |= {"project": declared.project, "location": declared.location}
    return {
        "version": 1,
        "raw": {"url": escaped(f"{project.raw.url.rstrip('/')}/{_RAW}")},
        "warehouse": warehouse,
        "sources": {SOURCE: {"connection": f"${{{_VARIABLE}}}", "tables": _DECLARED}},
    }


def _refuse_other_tables(project: Project, trial: Trial) -> None:
    """Refuses a warehouse with a version of anything but an earlier test."""
    warehouse = warehouse_of(trial.project)
    if not warehouse.exists():
        return
    others = [n for n in warehouse.published.state().tables if not n.startswith(f"{SOURCE}__")]
    if others or not warehouse.published.state().tables:
        raise Refused(
            f"a version of the warehouse is published in {warehouse.place}, and the test would "
            "replace it",
            where=project.declared.document.where(("warehouse",)),
            do="declare an empty one for the test: "
            + {
                "ducklake": "another database in `catalog_url` and another folder in `data_url`",
                "spark": "another Iceberg catalog in `catalog`",
                "snowflake": "another one in `database`",
                "bigquery": "another Google Cloud project in `project`",
            }[project.declaration.warehouse.type],
        )


def _remove_raw(trial: Trial) -> None:
    files, root = open_raw(trial.project.raw)
    with suppress(FileNotFoundError):
        files.rm(root, recursive=True)
