"""Reads the rows of a model that contain a key.

Values become text in DuckDB, so that they read as those of raw do.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.loading.raw.row_key import KeyPart
from lakefeed.source.inspection.equality import VALUE, comparable
from lakefeed.sql import quote
from lakefeed.transformation.warehouse.base.matching_rows import (
    MOST_ROWS,
    NOT_BUILT,
    Matching,
    Reference,
    Wanted,
    since,
)
from lakefeed.transformation.warehouse.clones.engine import Engine

# From-clause items of the relations of a version, by schema and name.
Items = Mapping[tuple[str, str], str]

_TIMES = ("timestamptz", "timestamp", "date")


def matching_rows(engine: Engine, items: Items, wanted: Wanted) -> Matching:
    """The rows of a relation that contain a key."""
    if wanted.relation not in items:
        return NOT_BUILT
    try:
        with _scratch() as scratch:
            return _matching(engine, scratch, _from(engine, scratch, items, wanted))
    except engine.unread as error:
        return Matching(unread=str(error).split("\n", 1)[0])


def references_to(
    engine: Engine, items: Items, wanted: Wanted, reference: Reference
) -> dict[str | None, int] | None:
    """How many rows refer to the wanted ones, by the value as text; None if it can't be read."""
    if not {wanted.relation, reference.relation} <= items.keys():
        return None
    pointing, at = engine.quoted(reference.column), engine.quoted(reference.to_column)
    try:
        with _scratch() as scratch:
            query = (
                f"select {pointing} as pointing, count(*) as n "
                f"from {items[reference.relation]} as referring where {pointing} in "
                f"(select {at} from {_from(engine, scratch, items, wanted)}) group by 1"
            )
            scratch.register("counts", engine.arrow(query))
            return dict(scratch.execute("select pointing::varchar, n from counts").fetchall())
    except engine.unread:
        return None


def _scratch() -> DuckDBPyConnection:
    scratch = duckdb.connect()
    scratch.execute("set timezone = 'UTC'")
    return scratch


def _matching(engine: Engine, scratch: DuckDBPyConnection, found: str) -> Matching:
    ((total,),) = engine.rows(f"select count(*) from {found}")
    names = engine.columns(f"(select * from {found})")
    by = since(names)
    newest = f"{engine.quoted(by)} desc" if by else "1"
    query = f"select * from {found} order by {newest} limit {MOST_ROWS}"
    scratch.register("newest", engine.arrow(query))
    texts = ", ".join(f"{quote(name)}::varchar" for name in names)
    order = quote(by) if by else "all"
    rows = scratch.execute(f"select {texts} from newest order by {order}").fetchall()
    return Matching(int(total), tuple(dict(zip(names, row, strict=True)) for row in rows))


def _from(engine: Engine, scratch: DuckDBPyConnection, items: Items, wanted: Wanted) -> str:
    """The wanted rows as what follows `from`."""
    parts = (
        " or ".join(_is_in(engine, scratch, part, engine.quoted(name)) for name in names)
        for part, names in wanted.key
    )
    condition = " and ".join(f"({part})" for part in parts)
    return f"{items[wanted.relation]} as wanted where {condition}"


def _is_in(engine: Engine, scratch: DuckDBPyConnection, part: KeyPart, column: str) -> str:
    """The condition that a column has the value of a part of the key."""
    form = engine.comparison(comparable(part.column.type) or VALUE)
    found, value = engine.tried(column, part.type), _value(engine, scratch, part)
    return f"{form.replace(VALUE, found)} = {form.replace(VALUE, value)}"


def _value(engine: Engine, scratch: DuckDBPyConnection, part: KeyPart) -> str:
    """The value of a part of the key, as models hold it; null for one that none can hold."""
    read = f"({part.value})"
    if part.type in _TIMES:
        read = f"case when isfinite{read} then {part.value} end"
    shown = f"hex({read})" if part.type == "blob" else f"({read})::varchar"
    ((text,),) = scratch.execute(f"select {shown}").fetchall()
    return "null" if text is None else engine.key_value(part.type, text)
