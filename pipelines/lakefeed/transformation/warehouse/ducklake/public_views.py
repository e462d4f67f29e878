"""The views that readers query: each names a table and the snapshot that is published.

marts.fct_order             where dbt builds: readers leave it alone
public.fct_order            the published rows of it
public._lakefeed_models     the published state of all models
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from duckdb import DuckDBPyConnection
from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from lakefeed.errors import BuildFailed
from lakefeed.sql import literal, quote
from lakefeed.transformation.targets.ducklake import LAKE
from lakefeed.transformation.warehouse.base.public_names import public_name, refuse_ambiguous
from lakefeed.transformation.warehouse.ducklake.records import SCHEMA

PUBLIC = "public"
FAILURES = "test_failures"
# Schemas that belong to no version.
OUTSIDE = (PUBLIC, SCHEMA, FAILURES)


@dataclass(frozen=True)
class Stored:
    """A table or view of a snapshot; `sql` is its definition."""

    schema: str
    name: str
    kind: str
    sql: str

    @property
    def quoted(self) -> str:
        return f"{quote(self.schema)}.{quote(self.name)}"

    @property
    def public_name(self) -> str:
        """Its name among the public views."""
        return public_name(self.schema, self.name)


def stored(session: DuckDBPyConnection, database: str) -> list[Stored]:
    """The tables and views of an attached lake or snapshot that belong to a version."""
    of_versions = f"schema_name not in ({', '.join(map(literal, OUTSIDE))})"
    query = f"""
        select schema_name, table_name, 'table', sql from duckdb_tables()
        where database_name = $1 and not temporary and {of_versions}
        union all
        select schema_name, view_name, 'view', sql from duckdb_views()
        where database_name = $1 and not temporary and not internal and {of_versions}
        order by all
    """
    rows = session.execute(query, [database]).fetchall()
    return [
        # A lake shows the SQL of its views as if it named the database that it is attached as.
        Stored(schema, name, kind, sql=sql.replace(f"{database}.", f"{LAKE}."))
        for schema, name, kind, sql in rows
    ]


def pin(session: DuckDBPyConnection, snapshot: int, relations: list[Stored]) -> None:
    """Makes the public views show these relations as of a snapshot; within a transaction.

    Raises:
        BuildFailed: two of them have the same name, or a view can't be understood.
    """
    refuse_ambiguous(relation.public_name for relation in relations)
    session.execute(f"create schema if not exists {PUBLIC}")
    for statement in _statements(session, snapshot, relations):
        session.execute(statement)


def _statements(
    session: DuckDBPyConnection, snapshot: int, relations: list[Stored]
) -> Iterator[str]:
    names = {relation.public_name for relation in relations}
    query = "select view_name from duckdb_views() where database_name = $1 and schema_name = $2"
    for (name,) in session.execute(query, [LAKE, PUBLIC]).fetchall():
        if name not in names:
            yield f"drop view {PUBLIC}.{quote(name)}"
    for relation in sorted(relations, key=lambda relation: relation.kind):
        view = f"create or replace view {PUBLIC}.{quote(relation.public_name)} as"
        if relation.kind == "table":
            yield f"{view} select * from {relation.quoted} at (version => {snapshot})"
        else:
            yield f"{view} {_of_public(relation, relations)}"


def _of_public(view: Stored, relations: list[Stored]) -> str:
    """The query of a view, reading the public views in place of what dbt builds."""
    public = {(relation.schema, relation.name): relation.public_name for relation in relations}
    try:
        created = parse_one(view.sql, dialect="duckdb")
    except SqlglotError:
        raise BuildFailed(
            f"{view.schema}.{view.name} can't be published: its SQL isn't understood",
            do="materialize the model as a table",
        ) from None
    for table in created.find_all(exp.Table):
        name = public.get((table.db, table.name))
        if name and table.catalog in ("", LAKE) and table is not created.this:
            table.set("db", exp.to_identifier(PUBLIC, quoted=True))
            table.set("this", exp.to_identifier(name, quoted=True))
    return str(created.expression.sql(dialect="duckdb"))
