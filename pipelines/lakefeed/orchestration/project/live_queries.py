"""The declared queries of a source as the server describes them now."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed
from lakefeed.loading.plan.query_check import statement_of
from lakefeed.source.inspection.queries import DeclaredQuery, QueryRefused, describe_queries


def live_queries(
    session: PgConnection, declared: Mapping[str, Table]
) -> tuple[dict[str, CatalogueTable], dict[str, QueryRefused]]:
    """The queries as tables, and why the server refuses the others, by qualified name.

    A query that isn't one statement that only reads is left out: planning its load says so.
    """
    asked = {
        name: DeclaredQuery(table.schema, table.name, table.query)
        for name, table in declared.items()
        if table.query is not None and _is_sound(table)
    }
    answers = describe_queries(session, asked)
    found = {name: one for name, one in answers.items() if isinstance(one, CatalogueTable)}
    return found, {name: one for name, one in answers.items() if isinstance(one, QueryRefused)}


def query_error(table: Table, reason: QueryRefused) -> TableFailed:
    """The error for a query that the server refuses."""
    return TableFailed(
        f"`query` of {table.shown} can't be read: {reason}",
        where=table.where_in_query(reason.offset),
        do="correct the query, or grant this role what it reads",
    )


def _is_sound(table: Table) -> bool:
    try:
        statement_of(table)
    except TableFailed:
        return False
    return True
