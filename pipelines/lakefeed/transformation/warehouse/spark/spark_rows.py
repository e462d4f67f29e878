"""Reads the rows of a model that contain a key, in a warehouse of Spark's.

Values become text in DuckDB, so that they read as those of raw do.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.loading.raw.row_key import KeyPart
from lakefeed.source.inspection.equality import VALUE, comparable
from lakefeed.sql import quote
from lakefeed.transformation.dbt_adapter.spark.types import spark_form, spark_type
from lakefeed.transformation.targets.spark import Session, StatementFailed, quoted, text_literal
from lakefeed.transformation.warehouse.base.matching_rows import (
    MOST_ROWS,
    NOT_BUILT,
    Matching,
    Reference,
    Wanted,
    since,
)

# From-clause items of the relations of a version, by schema and name.
Items = Mapping[tuple[str, str], str]

# How a finite time of a key is written exactly in Spark's SQL, by its microseconds.
_BY_MICROSECONDS = {
    "timestamptz": "timestamp_micros({})",
    "timestamp": "cast(timestamp_micros({}) as timestamp_ntz)",
    "date": "date_from_unix_date({} div 86400000000)",
}


def matching_rows(session: Session, items: Items, wanted: Wanted) -> Matching:
    """The rows of a relation that contain a key."""
    if wanted.relation not in items:
        return NOT_BUILT
    try:
        with _engine() as engine:
            return _matching(session, engine, _from(engine, items, wanted))
    except StatementFailed as error:
        # What follows is where in the statement it is, and the plan.
        return Matching(unread=error.what.partition(" SQLSTATE")[0])


def references_to(
    session: Session, items: Items, wanted: Wanted, reference: Reference
) -> dict[str | None, int] | None:
    """How many rows refer to the wanted ones, by the value as text; None if it can't be read."""
    if not {wanted.relation, reference.relation} <= items.keys():
        return None
    pointing, at = quoted(reference.column), quoted(reference.to_column)
    try:
        with _engine() as engine:
            query = (
                f"select {pointing} as pointing, count(*) as n from {items[reference.relation]} "
                f"where {pointing} in (select {at} from {_from(engine, items, wanted)}) group by 1"
            )
            engine.register("counts", session.arrow(query))
            return dict(engine.execute("select pointing::varchar, n from counts").fetchall())
    except StatementFailed:
        return None


def _engine() -> DuckDBPyConnection:
    engine = duckdb.connect()
    engine.execute("set timezone = 'UTC'")
    return engine


def _matching(session: Session, engine: DuckDBPyConnection, found: str) -> Matching:
    ((total,),) = session.rows(f"select count(*) from {found}")
    names = [name for name, *_ in session.rows(f"describe query select * from {found}")]
    by = since(names)
    newest = f"{quoted(by)} desc" if by else "all"
    query = f"select * from {found} order by {newest} limit {MOST_ROWS}"
    engine.register("newest", session.arrow(query))
    texts = ", ".join(f"{quote(name)}::varchar" for name in names)
    order = quote(by) if by else "all"
    rows = engine.execute(f"select {texts} from newest order by {order}").fetchall()
    return Matching(total, tuple(dict(zip(names, row, strict=True)) for row in rows))


def _from(engine: DuckDBPyConnection, items: Items, wanted: Wanted) -> str:
    """The wanted rows as what follows `from`."""
    parts = (
        " or ".join(_is_in(engine, part, quoted(name)) for name in names)
        for part, names in wanted.key
    )
    condition = " and ".join(f"({part})" for part in parts)
    return f"{items[wanted.relation]} where {condition}"


def _is_in(engine: DuckDBPyConnection, part: KeyPart, column: str) -> str:
    """The condition that a column has the value of a part of the key."""
    form = spark_form(comparable(part.column.type) or VALUE)
    found, value = f"try_cast({column} as {spark_type(part.type)})", _value(engine, part)
    return f"{form.replace(VALUE, found)} = {form.replace(VALUE, value)}"


def _value(engine: DuckDBPyConnection, part: KeyPart) -> str:
    """The value of a part of the key, as Spark's models hold it."""
    if part.type in _BY_MICROSECONDS:
        read = f"case when isfinite({part.value}) then epoch_us({part.value}) end"
        ((microseconds,),) = engine.execute(f"select {read}").fetchall()
        # No model on Spark has an infinite time.
        return "null" if microseconds is None else _BY_MICROSECONDS[part.type].format(microseconds)
    if part.type == "blob":
        ((digits,),) = engine.execute(f"select hex({part.value})").fetchall()
        return f"unhex('{digits}')"
    ((text,),) = engine.execute(f"select ({part.value})::varchar").fetchall()
    return f"cast({text_literal(text)} as {spark_type(part.type)})"
