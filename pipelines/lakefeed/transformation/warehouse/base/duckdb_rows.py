"""Reads the rows of a model that contain a key, in a warehouse that DuckDB reads."""

from __future__ import annotations

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.sql import quote, quote_qualified
from lakefeed.store_reasons import store_error_in
from lakefeed.transformation.warehouse.base.matching_rows import (
    MOST_ROWS,
    NOT_BUILT,
    Matching,
    Reference,
    Wanted,
    since,
)


def matching_rows(session: DuckDBPyConnection, wanted: Wanted) -> Matching:
    """The rows of a relation that contain a key.

    Raises:
        StorageFailed: the object store that has them can't be read.
    """
    try:
        session.execute("set timezone = 'UTC'")
        return _matching(session, wanted)
    except duckdb.CatalogException:
        return NOT_BUILT
    except duckdb.Error as error:
        if failure := store_error_in(str(error)):
            raise failure from None
        return Matching(unread=str(error).split("\n", 1)[0])


def references_to(
    session: DuckDBPyConnection, wanted: Wanted, reference: Reference
) -> dict[str | None, int] | None:
    """How many rows refer to the wanted ones, by the value as text; None if it can't be read."""
    pointing, at = quote(reference.column), quote(reference.to_column)
    try:
        session.execute("set timezone = 'UTC'")
        return dict(
            session.execute(
                f"select {pointing}::varchar, count(*) from {quote_qualified(*reference.relation)} "
                f"where {pointing} in (select {at} from {_from(wanted)}) group by 1"
            ).fetchall()
        )
    except duckdb.Error:
        return None


def _matching(session: DuckDBPyConnection, wanted: Wanted) -> Matching:
    found = _from(wanted)
    ((total,),) = session.execute(f"select count(*) from {found}").fetchall()
    names = [row[0] for row in session.execute(f"describe from {found}").fetchall()]
    by = since(names)
    order, newest = (quote(by), f"{quote(by)} desc") if by else ("all", "all")
    texts = ", ".join(f"{quote(name)}::varchar" for name in names)
    rows = session.execute(
        f"select {texts} from (from {found} order by {newest} limit {MOST_ROWS}) order by {order}"
    ).fetchall()
    return Matching(total, tuple(dict(zip(names, row, strict=True)) for row in rows))


def _from(wanted: Wanted) -> str:
    """The wanted rows as what follows `from`."""
    parts = (" or ".join(part.is_in(quote(name)) for name in names) for part, names in wanted.key)
    condition = " and ".join(f"({part})" for part in parts)
    return f"{quote_qualified(*wanted.relation)} where {condition}"
