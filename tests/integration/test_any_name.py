"""`init` and `run` work without an edit for any table names that PostgreSQL allows.

Each table is in staging as it is in the source, under its own columns' names, or `init` says why it
is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote as urlquote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lakefeed.declaration.table import Table
from lakefeed.orchestration.checks.audit import audit
from lakefeed.orchestration.checks.check import check
from lakefeed.orchestration.project.init import init_project
from lakefeed.sql import quote, quote_qualified
from lakefeed.transformation.generate.staging_models import staging_model_name
from tests.conftest import NIGHTLY, Database, Lake, new_database
from tests.naming import names

_SYSTEM = {"tableoid", "cmax", "xmin", "cmin", "xmax", "ctid"}
column_names = names.filter(lambda name: name not in _SYSTEM)


@dataclass(frozen=True)
class Named:
    """The names of a table, of its key, and of another column."""

    table: str
    key: str
    column: str


@st.composite
def named_tables(draw: st.DrawFn) -> Named:
    key, column = draw(st.lists(column_names, min_size=2, max_size=2, unique=True))
    return Named(draw(names), key, column)


databases = st.lists(named_tables(), min_size=8, max_size=12, unique_by=lambda one: one.table)
AWKWARD = [
    Named("50% off", "100%", "%s"),
    Named("änderung", "größe", "имя"),
    Named("a[b]", "[x]", "*"),
    Named("what?", "?", "{x}"),
    Named("dot.ted", "a.b", ".."),
    Named('"quoted"', "it's", "back\\slash"),
    Named("{{ x }}", "{% raw %}", "{# x #}"),
    Named("con", "nul", "aux.txt"),
    Named("null", "yes", "1e3"),
    Named("~", "on", "- x"),
    Named("new\nline", "a\nb", "a\x85b"),
    Named("last\n", "key\n", "{{\n"),
    Named(" around ", " x ", "\u2028"),
    Named("名" * 21, "ü" * 31, "x" * 63),
    Named("Case", "ID", "iD"),
    Named("case", "id", "x"),
    Named("!!!", "#", ": x"),
    Named('q"', 'k"', "x"),
]


def test_awkward_names_are_loaded_and_staged_without_an_edit(server_url: str) -> None:
    """All of them at once, dbt's models included, in a database whose name is none for a source."""
    schema = 'Quoted_" . Schema'
    assert_loaded(server_url, schema, AWKWARD, database_name="5% \"Ж' [a.b]?")


@pytest.mark.faults
@pytest.mark.nightly
@settings(max_examples=40 if NIGHTLY else 3, suppress_health_check=list(HealthCheck))
@given(schema=names.filter(lambda name: not name.startswith("pg_")), tables=databases)
@example(schema="a.b", tables=AWKWARD[:4])
def test_any_names_are_loaded_without_an_edit(
    server_url: str, schema: str, tables: list[Named]
) -> None:
    assert_loaded(server_url, schema, tables)


def assert_loaded(
    server_url: str, schema: str, tables: list[Named], *, database_name: str = ""
) -> None:
    server = Database(server_url)
    database = new_database(server_url, encoding="utf8")
    if database_name:
        server.execute(f"alter database {database.name} rename to {quote(database_name)}")
        database = Database(database.url.replace(database.name, urlquote(database_name, safe="")))
    try:
        create(database, schema, tables)
        with TemporaryDirectory() as folder:
            report = init_project(Path(folder), database.url, None, (schema,))
            lake = Lake(Path(folder))
            assert check(lake.project).errors == ()
            run = lake.run()
            assert [str(table.error) for table in run.failures] == []
            assert run.build is not None
            assert [(node.name, node.message) for node in run.build.failures] == []
            assert [str(one.error or one.findings) for one in audit(lake.project, ()).tables] == [
                "()"
            ] * len(run.tables)
            found = {table.name: table for table in lake.project.tables}
            assert len(found) + len(report.left_out) == len(tables)
            for number, named in enumerate(tables):
                if named.table in found:
                    assert staged(lake, found[named.table], named) == (number, f"of {number}")
                else:
                    assert '"' in named.key or "\r" in named.key or not named.key.strip()
    finally:
        server.execute(f"drop database {quote(database.name)} with (force)")


def create(database: Database, schema: str, tables: list[Named]) -> None:
    statements = [f"create schema if not exists {quote(schema)}"]
    for number, one in enumerate(tables):
        table = quote_qualified(schema, one.table)
        statements += [
            f"create table {table} ({quote(one.key)} int primary key, {quote(one.column)} text)",
            f"insert into {table} values ({number}, 'of {number}')",
        ]
    database.execute(*statements)


def staged(lake: Lake, table: Table, named: Named) -> tuple[object, object]:
    """The only row of a table; what isn't loaded of it is as expected."""
    excluded = table.settings.columns.exclude if table.settings.columns else None
    columns = [named.key] + ([] if excluded else [named.column])
    listed = ", ".join(quote(name) for name in columns)
    model = quote(staging_model_name(table))
    ((key, *value),) = lake.query(f"select {listed} from staging.{model}")
    return key, value[0] if value else f"of {key}"
