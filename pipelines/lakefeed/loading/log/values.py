"""DuckDB's SQL for what the log says: values as text, and the transactions that wrote them."""

from __future__ import annotations

from lakefeed.declaration.catalogue import Column
from lakefeed.loading.sessions.transactions import OpenTransactions
from lakefeed.source.inspection.types import lake_type, parsed_text, text_of_cast
from lakefeed.source.log.lsn import parse_lsn
from lakefeed.sql import literal


def is_visible(seen: OpenTransactions) -> str:
    """The condition that a snapshot shows a change, as `OpenTransactions.shows_commit`."""
    if seen.replayed:
        return f"lsn < {parse_lsn(seen.replayed)}"
    writing = ", ".join(map(str, seen.writing)) or "null"
    is_in_flight = f"coalesce(xid in ({writing}), false)"
    return f"xid < {seen.oldest_unfinished} or (xid < {seen.next_number} and not {is_in_flight})"


def parsed(column: Column, value: str) -> str:
    """A value as a read of the table gives it, from its text. Fails if the lake can't hold it."""
    kind = lake_type(column.type)
    if kind.as_text:
        return text_of_cast(value, column.type)
    read = parsed_text(value, kind.duckdb)
    if not kind.duckdb.startswith("decimal"):
        return read
    failure = literal(f"column {column.name} holds NaN in a {column.type}")
    return f"case when {value} = 'NaN' then error({failure})::{kind.duckdb} else {read} end"
