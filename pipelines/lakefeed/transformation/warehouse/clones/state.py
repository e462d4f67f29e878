"""Reads and writes the publication state in the tables of `_lakefeed`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lakefeed.transformation.warehouse.base.format import FORMAT
from lakefeed.transformation.warehouse.base.ledger import SCHEMA
from lakefeed.transformation.warehouse.base.publication_state import (
    MODELS,
    TABLES,
    PublicationState,
    model_rows,
    state_of,
    table_rows,
)
from lakefeed.transformation.warehouse.clones.engine import Engine

# A from-clause item of a table of `_lakefeed`; None if the version doesn't have it.
Ledger = Callable[[str], str | None]


def read_state(engine: Engine, ledger: Ledger) -> PublicationState:
    """The state that a version records; empty if it wasn't published."""
    publication, tables, models = map(ledger, ("publication", "tables", "models"))
    if publication is None or tables is None or models is None:
        return PublicationState()
    time = engine.microseconds
    ((published_at,),) = engine.rows(f"select {time('published_at')} from {publication}")
    return state_of(
        _number(published_at),
        [
            (*row[:2], _number(row[2]), int(row[3]), row[4], *map(_number, row[5:8]), row[8])
            for row in engine.rows(
                f"select lake_name, table_name, {time('complete_through')}, loads, newest_load, "
                f"row_count, {time('built_at')}, {time('published_at')}, sees_deletes "
                f"from {tables}"
            )
        ],
        [
            (row[0], *map(_number, row[1:4]), row[4], engine.texts_of(row[5]))
            for row in engine.rows(
                f"select model, {time('complete_through')}, {time('built_at')}, "
                f"{time('published_at')}, held_back_because, waits_for from {models}"
            )
        ],
    )


def write_state(engine: Engine, state: PublicationState) -> None:
    """Replaces the state, table by table: it counts once a version that names it is published."""
    engine.create_schema(SCHEMA)
    _write(engine, "format", {"version": ("varchar", "")}, [(FORMAT,)])
    _write(engine, "publication", {"published_at": ("timestamptz", "")}, [(state.published_at,)])
    _write(engine, "tables", TABLES, table_rows(state))
    _write(engine, "models", MODELS, model_rows(state))


def _write(
    engine: Engine,
    name: str,
    columns: Mapping[str, tuple[str, str]],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Replaces a table in one statement."""
    types = [engine.type_named(kind) for kind, _ in columns.values()]
    selects = [
        ", ".join(
            f"cast({_literal(engine, value)} as {kind}) as {column}"
            for column, kind, value in zip(columns, types, row, strict=True)
        )
        for row in rows or [(None,) * len(types)]
    ]
    query = " union all ".join(f"select {listed}" for listed in selects)
    without = "" if rows else " where false"
    table = engine.quoted(SCHEMA, name)
    engine.rows(f"create or replace table {table} as select * from ({query}) as state{without}")


def _literal(engine: Engine, value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return engine.moment(value)
    if isinstance(value, list):
        return engine.texts(value)
    return str(value) if isinstance(value, int) else engine.text(str(value))


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
