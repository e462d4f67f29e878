"""Puts relations back to the version in another attached database."""

from __future__ import annotations

import re
from collections.abc import Iterator

from duckdb import DuckDBPyConnection

from lakefeed.sql import literal, quote
from lakefeed.transformation.manifest import Model
from lakefeed.transformation.warehouse.base.format import holds
from lakefeed.transformation.warehouse.base.ledger import LEDGER

# The name under which the published version is attached.
PUBLISHED = "lakefeed_published"

# The name in a view's definition, if it has no schema.
_VIEW = re.compile(r'^(create view )("(?:[^"]|"")+"|\w+)([ (])', re.IGNORECASE)


def put_back_model(session: DuckDBPyConnection, model: Model) -> None:
    """Puts a model back: rows, definition, indexes, and what the ledger has of it.

    A model that isn't in `PUBLISHED` is dropped. Of a view, only the definition is put back.
    """
    for statement in put_back_relation(session, model.schema, model.identifier):
        session.execute(statement)
    for statement in _put_back_records(session, model.name):
        session.execute(statement)


def put_back_relation(session: DuckDBPyConnection, schema: str, name: str) -> Iterator[str]:
    """The statements that put a table or view back; to be run one after the other."""
    relation = f"{quote(schema)}.{quote(name)}"
    for kind, _ in _definitions(session, "current_database()", schema, name):
        yield f"drop {kind} {relation}"
    for kind, sql in _definitions(session, literal(PUBLISHED), schema, name):
        yield _definition(relation, sql)
        if kind == "table":
            yield f"insert into {relation} from {PUBLISHED}.{relation}"
            yield from _indexes(session, schema, name)


def _definition(relation: str, sql: str) -> str:
    """The DDL to run here: a lake's doesn't name a view's schema, and names the other database."""
    sql = _VIEW.sub(lambda found: f"{found[1]}{relation}{found[3]}", sql, count=1)
    return sql.replace(f"{PUBLISHED}.", "")


def _put_back_records(session: DuckDBPyConnection, model: str) -> Iterator[str]:
    of_model = f"where model = {literal(model)}"
    for name in LEDGER:
        if not holds(session, name):
            continue
        table = f"_lakefeed.{name}"
        yield f"delete from {table} {of_model}"
        if holds(session, name, PUBLISHED):
            yield f"insert into {table} from {PUBLISHED}.{table} {of_model}"


def _definitions(
    session: DuckDBPyConnection, database: str, schema: str, name: str
) -> list[tuple[str, str]]:
    """The kind (`table` or `view`) and DDL of a relation in a database."""
    query = f"""
        select 'table', sql from duckdb_tables()
        where database_name = {database} and schema_name = $1 and table_name = $2
        union all
        select 'view', sql from duckdb_views()
        where database_name = {database} and schema_name = $1 and view_name = $2
    """
    return session.execute(query, [schema, name]).fetchall()


def _indexes(session: DuckDBPyConnection, schema: str, name: str) -> list[str]:
    query = (
        f"select sql from duckdb_indexes() where database_name = '{PUBLISHED}' "
        "and schema_name = $1 and table_name = $2 and sql is not null"
    )
    found = session.execute(query, [schema, name]).fetchall()
    return [sql for (sql,) in found]
