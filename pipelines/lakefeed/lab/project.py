"""Sets up the lab: the user's declaration on scratch databases, with a lake of its own."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.document.quoting import yaml_text
from lakefeed.declaration.environment.references import escaped
from lakefeed.declaration.environment.variables import variables_file
from lakefeed.declaration.project import Project, open_project
from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError, TableFailed
from lakefeed.lab.scratch import LAB_SCHEMA, LabTable, copy_schema, prepare_table
from lakefeed.lab.writers import Writers
from lakefeed.loading.plan.table_plan import plan_table
from lakefeed.orchestration.log.setup import logging_sources, setup
from lakefeed.orchestration.project.catalogue_sync import LiveSource, read_live
from lakefeed.orchestration.project.scaffold import write_scaffold, write_secret
from lakefeed.orchestration.project.sync import sync
from lakefeed.source.connections.connection import Connection, connection_from_url, connection_of
from lakefeed.source.connections.sessions import connect, open_session
from lakefeed.source.inspection.tables import BASE_KINDS

_HASH_KEY = "LAKEFEED_LAB_HASH_KEY"
# A database with a slot can't be dropped.
_DROP_SLOTS = """
select pg_drop_replication_slot(slot_name) from pg_replication_slots
where database = %s and not active
"""


@dataclass(frozen=True)
class Lab:
    """A copy of the user's project, the writers on its sources, and the tables left out."""

    project: Project
    writers: tuple[Writers, ...]
    left_out: tuple[str, ...]

    @property
    def tables(self) -> list[LabTable]:
        return [table for writers in self.writers for table in writers.tables]

    @property
    def selection(self) -> list[str]:
        """The command-line arguments that select these tables."""
        return [part for table in self.tables for part in ("--select", table.plan.table.shown)]


def open_lab(project: Project, root: Path, server: str, rows: int, choose: random.Random) -> Lab:
    """Sets up the lab of a project.

    Side effects: writes a project into `root`, which must not exist, and creates a database for
    each source on the server; reads the sources' schemas and some rows of each declared table.

    Args:
        server: the URL of any database of the server; its user must be a superuser.
        rows: the maximum number of rows to copy from each table.

    Raises:
        SourceUnreachable, DeclarationError: a source can't be read.
    """
    urls = {source: _create_database(server, source) for source in project.declaration.sources}
    write_scaffold(root)
    (root / DECLARATION_FILE).write_text(_redirected(project), encoding="utf-8")
    for source, url in urls.items():
        write_secret(variables_file(root), _variable(source), url)
    write_secret(variables_file(root), _HASH_KEY, "lab")
    schema_problems = {
        source: _copy_schema(connection_of(project, source), url) for source, url in urls.items()
    }
    lab = open_project(root)
    sync(lab)
    keep_logs(lab)
    lab, left_out, writers = open_project(root), _queries_of(project), []
    for source, url in urls.items():
        tables, why_not = _prepare(project, lab, source, rows)
        left_out += why_not
        left_out += [f"{source}: {line}" for line in schema_problems[source] if why_not]
        if tables:
            writers.append(Writers(url, tables, choose))
    return Lab(lab, tuple(writers), tuple(left_out))


def keep_logs(lab: Project) -> None:
    """Has the scratch databases publish and keep what tables with `cursor: wal` need.

    To be called again once a table was replaced: the new one isn't published.

    Raises:
        LakefeedError: a database doesn't allow it.
    """
    for done in setup(lab, logging_sources(lab), applies=True, allow_unbounded=True):
        if done.error:
            raise done.error
        for need in done.plan.needs:
            raise LakefeedError(
                f"the lab's server lacks something for `cursor: wal`: {need.what}", do=need.do
            )


def drop_databases(project: Project, server: str) -> None:
    """Drops the databases that `open_lab` created on a user's server."""
    with closing(_on_server(server)) as session:
        session.autocommit = True
        for source in project.declaration.sources:
            with session.cursor() as cursor:
                cursor.execute(_DROP_SLOTS, [_database(source)])
                cursor.execute(f"drop database if exists {_database(source)} with (force)")


def _on_server(url: str) -> PgConnection:
    return open_session(connection_from_url("--server", url), "lakefeed lab")


def _create_database(server: str, source: str) -> str:
    with closing(_on_server(server)) as session:
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(f"create database {_database(source)} template template0 encoding utf8")
    return psycopg2.extensions.make_dsn(server, dbname=_database(source))


def _copy_schema(connection: Connection, url: str) -> list[str]:
    with connect(connection, "lakefeed lab") as session:
        problems = copy_schema(connection, session, url)
    with closing(psycopg2.connect(url)) as scratch, scratch, scratch.cursor() as cursor:
        cursor.execute(f"create schema {LAB_SCHEMA}")
    return problems


def _redirected(project: Project) -> str:
    """The declaration with scratch databases as its sources, a key of the lab's own for hashes and
    the default lake.

    Queries are left out, and tests, since the lab's random rows wouldn't pass them.
    """
    data = _escaped(project.declared.document.data)
    for settings in _settings(data):
        settings.pop("tests", None)
        for column in _columns_of(settings):
            if isinstance(declared := column.get("hash"), dict) and "key" in declared:
                declared["key"] = f"${{{_HASH_KEY}}}"
    for place in ("raw", "warehouse"):
        data.pop(place, None)
    for source in data["sources"].values():
        tables = source["tables"].items()
        source["tables"] = {name: t for name, t in tables if not (t and t.get("query"))}
    for source, declared in data["sources"].items():
        declared["connection"] = f"${{{_variable(source)}}}"
        # Slots are the server's, which may be that of the source.
        declared["wal"] = dict.fromkeys(("slot", "publication"), _database(source))
    return yaml_text(data)


def _escaped(data: Any) -> Any:
    """The data with every text that looks like a reference written so that it isn't one."""
    if isinstance(data, dict):
        return {name: _escaped(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_escaped(value) for value in data]
    return escaped(data) if isinstance(data, str) else data


def _queries_of(project: Project) -> list[str]:
    return [
        f"{table.shown}: it is a query, which the lab can't write to"
        for table in project.tables
        if table.query is not None
    ]


def _settings(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All mappings of settings in a declaration: defaults and tables."""
    sources = list(data["sources"].values())
    tables = [table for source in sources for table in source["tables"].values()]
    defaults = [level.get("defaults") for level in (data, *sources)]
    yield from (settings for settings in (*defaults, *tables) if settings)


def _columns_of(settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The settings of single columns."""
    columns = settings.get("columns") or {}
    yield from (column for column in columns.values() if isinstance(column, dict))


def _prepare(
    project: Project, lab: Project, source: str, rows: int
) -> tuple[list[LabTable], list[str]]:
    tables: list[LabTable] = []
    left_out: list[str] = []
    with (
        connect(connection_of(project, source), "lakefeed lab") as original,
        connect(connection_of(lab, source), "lakefeed lab") as reader,
        closing(psycopg2.connect(connection_of(lab, source).dsn)) as scratch,
    ):
        there, live = read_live(original, project, source), read_live(reader, lab, source)
        for number, table in enumerate(lab.tables_of(source), 1):
            if table.is_paused:
                left_out.append(f"{table.shown}: it is paused (`enabled: false`)")
                continue
            try:
                plan = plan_table(table, _base_table(table, there, live))
                tables.append(prepare_table(original, scratch, plan, number, rows))
            except TableFailed as failed:
                left_out.append(f"{table.shown}: {failed.what}")
    return tables, left_out


def _base_table(table: Table, there: LiveSource, live: LiveSource) -> CatalogueTable | None:
    found = live.tables.get(table.qualified)
    if found is None and table.qualified in there.tables:
        raise TableFailed(
            "it can't be created in the scratch database, or this role may not select from all of "
            "it",
            where=table.where,
        )
    if found and found.kind not in BASE_KINDS[:2]:
        raise TableFailed(f"it is a {found.kind}, which the lab can't write to", where=table.where)
    return found


def _database(source: str) -> str:
    return f"lakefeed_lab_{source.lower()}"


def _variable(source: str) -> str:
    return f"LAKEFEED_LAB_{source.upper()}"
