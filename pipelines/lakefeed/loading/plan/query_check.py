"""Checks the declared `query` of a table, before anything connects."""

from __future__ import annotations

from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed
from lakefeed.source.statement import NotOneRead, Statement, read_statement


def statement_of(table: Table) -> Statement | None:
    """The declared query, parsed; None for a table.

    Raises:
        TableFailed: it isn't one statement that only reads; names the line and the column.
    """
    if table.query is None:
        return None
    try:
        return read_statement(table.query)
    except NotOneRead as reason:
        raise TableFailed(
            f"`query` of {table.shown} is invalid: it {reason}",
            where=table.where_in_query(reason.offset),
            do="write one statement that only reads, such as: query: select id, total from orders",
        ) from None
