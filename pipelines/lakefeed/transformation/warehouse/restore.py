"""Restores models of the candidate to their published version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from duckdb import DuckDBPyConnection, Error

from lakefeed.sql import literal, quote
from lakefeed.transformation.manifest import Model
from lakefeed.transformation.warehouse.connection import holds
from lakefeed.transformation.warehouse.open_file import cannot_open, writing

_PUBLISHED = "lakefeed_published"
_STAGED_LOADS = "staged_loads"


def restore_models(candidate: Path, published: Path, models: Iterable[Model]) -> None:
    """Restores these models in the candidate to their version in the published file.

    Restores rows, definition and indexes, and the recorded loads of a staging model, so that the
    next build stages the other loads again. Models that were never published are dropped. Of a
    view, only the definition is restored.

    Raises:
        BuildFailed: another program has the published file open for writing.
    """
    with writing(candidate) as session:
        if published.exists():
            _attach(session, published)
        for model in models:
            for statement in _statements(session, model):
                session.execute(statement)


def _attach(session: DuckDBPyConnection, published: Path) -> None:
    try:
        session.execute(f"attach {literal(str(published))} as {_PUBLISHED} (read_only)")
    except Error as error:
        raise cannot_open(published, error) from None


def _statements(session: DuckDBPyConnection, model: Model) -> Iterator[str]:
    relation = f"{quote(model.schema)}.{quote(model.identifier)}"
    for kind, _ in _definitions(session, "current_database()", model):
        yield f"drop {kind} {relation}"
    for kind, sql in _definitions(session, literal(_PUBLISHED), model):
        yield sql
        if kind == "table":
            yield f"insert into {relation} from {_PUBLISHED}.{relation}"
            yield from _indexes(session, model)
    if holds(session, _STAGED_LOADS):
        table = f"_lakefeed.{_STAGED_LOADS}"
        of_model = f"where model = {literal(model.name)}"
        yield f"delete from {table} {of_model}"
        if holds(session, _STAGED_LOADS, _PUBLISHED):
            yield f"insert into {table} from {_PUBLISHED}.{table} {of_model}"


def _definitions(session: DuckDBPyConnection, database: str, model: Model) -> list[tuple[str, str]]:
    """The kind (`table` or `view`) and DDL of the model's relation in a database."""
    query = f"""
        select 'table', sql from duckdb_tables()
        where database_name = {database} and schema_name = $1 and table_name = $2
        union all
        select 'view', sql from duckdb_views()
        where database_name = {database} and schema_name = $1 and view_name = $2
    """
    return session.execute(query, [model.schema, model.identifier]).fetchall()


def _indexes(session: DuckDBPyConnection, model: Model) -> list[str]:
    query = (
        f"select sql from duckdb_indexes() where database_name = '{_PUBLISHED}' "
        "and schema_name = $1 and table_name = $2 and sql is not null"
    )
    found = session.execute(query, [model.schema, model.identifier]).fetchall()
    return [sql for (sql,) in found]
