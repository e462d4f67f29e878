"""Inspects the tables of a schema for `init`, with bounded waits.

A table that can't be read or counted doesn't keep the others from being declared.
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.orchestration.project.cursor_inference import TableFacts
from lakefeed.source.connections.connection import Connection
from lakefeed.source.inspection.equality import compared_by_text
from lakefeed.source.inspection.guarded import (
    TableBusy,
    TableRefused,
    bound_waits,
    guarded,
    refuse_unreachable,
)
from lakefeed.source.inspection.tables import (
    BASE_KINDS,
    column_facts,
    count_rows,
    denied_columns,
    estimated_size,
    hides_rows,
    inspect_tables,
)

_SMALL_ENOUGH_TO_COUNT = 64 * 1024 * 1024


def survey(connection: Connection, session: PgConnection, schema: str) -> Iterator[TableFacts]:
    """Yields the facts of all tables of a schema.

    Side effect: limits how long statements of this transaction wait.

    Args:
        session: a session of this connection.
    """
    bound_waits(session)
    for table in inspect_tables(session, [schema]).values():
        if table.kind in BASE_KINDS:
            yield _facts(connection, session, table)


def _facts(connection: Connection, session: PgConnection, table: CatalogueTable) -> TableFacts:
    names = [column.name for column in table.columns]
    try:
        denied = guarded(session, table, lambda: denied_columns(session, table, names))
        columns = guarded(session, table, lambda: column_facts(session, table))
        hidden = guarded(session, table, lambda: hides_rows(session, table))
        key = [column for column in table.columns if column.name in table.primary_key]
        doubts = guarded(session, table, lambda: tuple(compared_by_text(session, table, key)))
    except (TableBusy, TableRefused) as error:
        return TableFacts(
            table=table, columns={}, denied=(), rows=None, size=None, refused=str(error)
        )
    if hidden:
        reason = "row-level security hides rows from this role; grant it bypassrls"
        return TableFacts(
            table=table, columns=columns, denied=tuple(denied), rows=None, size=None, refused=reason
        )
    if len(columns) < len(names):
        reason = "it is being dropped or altered"
        return TableFacts(
            table=table, columns=columns, denied=(), rows=None, size=None, refused=reason
        )
    if len(denied) == len(names):
        return TableFacts(table=table, columns=columns, denied=tuple(denied), rows=None, size=None)
    if table.kind == "foreign table":
        refused = _reason_out_of_reach(connection, table)
        return TableFacts(
            table=table,
            columns=columns,
            denied=tuple(denied),
            rows=None,
            size=None,
            refused=refused,
        )
    rows, size, refused = _size(session, table)
    return TableFacts(
        table=table,
        columns=columns,
        denied=tuple(denied),
        rows=rows,
        size=size,
        doubts=doubts,
        refused=refused,
    )


def _reason_out_of_reach(connection: Connection, table: CatalogueTable) -> str:
    try:
        refuse_unreachable(connection, table)
    except (TableBusy, TableRefused) as error:
        return str(error)
    return ""


def _size(session: PgConnection, table: CatalogueTable) -> tuple[int | None, int | None, str]:
    """Rows and bytes, each None if unknown, and the server's message if it can't be read."""
    rows: int | None = None
    size: int | None = None
    only = bool(table.heirs)
    try:
        rows, size = guarded(session, table, lambda: estimated_size(session, table, only=only))
        if size <= _SMALL_ENOUGH_TO_COUNT:
            rows = guarded(session, table, lambda: count_rows(session, table, only=only))
    except TableBusy:
        pass
    except TableRefused as error:
        return rows, size, str(error)
    return rows, size, ""
