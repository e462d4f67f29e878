"""Reads and writes the publication state in the tables of `_lakefeed`, as Spark has them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lakefeed.transformation.targets.spark import Session, text_literal, values
from lakefeed.transformation.warehouse.base.format import FORMAT
from lakefeed.transformation.warehouse.base.publication_state import (
    MODELS,
    TABLES,
    PublicationState,
    model_rows,
    state_of,
    table_rows,
)

_TYPES = {
    "varchar": "string",
    "varchar[]": "array<string>",
    "timestamptz": "timestamp",
    "bigint": "bigint",
    "boolean": "boolean",
}
# A from-clause item of a table of `_lakefeed`; None if the version doesn't have it.
Ledger = Callable[[str], str | None]


def read_state(session: Session, ledger: Ledger) -> PublicationState:
    """The state that a version records; empty if it wasn't published."""
    publication, tables, models = map(ledger, ("publication", "tables", "models"))
    if publication is None or tables is None or models is None:
        return PublicationState()
    ((published_at,),) = session.rows(f"select unix_micros(published_at) from {publication}")
    held = session.rows(
        "select model, unix_micros(complete_through), unix_micros(built_at), "
        f"unix_micros(published_at), held_back_because, to_json(waits_for) from {models}"
    )
    return state_of(
        published_at,
        session.rows(
            "select lake_name, table_name, unix_micros(complete_through), loads, newest_load, "
            "row_count, unix_micros(built_at), unix_micros(published_at), sees_deletes "
            f"from {tables}"
        ),
        [(*facts, json.loads(tables) if tables else None) for *facts, tables in held],
    )


def write_state(session: Session, state: PublicationState) -> None:
    """Replaces the state, table by table: it counts once a version that names it is published."""
    session.rows("create namespace if not exists _lakefeed")
    _write(session, "format", {"version": ("varchar", "The format of these tables.")}, [(FORMAT,)])
    published = {"published_at": ("timestamptz", "When this version was published.")}
    _write(session, "publication", published, [(state.published_at,)])
    _write(session, "tables", TABLES, table_rows(state))
    _write(session, "models", MODELS, model_rows(state))


def _write(
    session: Session,
    name: str,
    columns: Mapping[str, tuple[str, str]],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    described = ", ".join(
        f"{column} {_TYPES[kind]} comment {text_literal(meaning)}"
        for column, (kind, meaning) in columns.items()
    )
    session.rows(f"create or replace table _lakefeed.{name} ({described}) using iceberg")
    if rows:
        literals = values([[_literal(value) for value in row] for row in rows])
        session.rows(f"insert into _lakefeed.{name} values {literals}")


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.datetime):
        return f"timestamp {text_literal(value.astimezone(dt.UTC).isoformat())}"
    if isinstance(value, list):
        return f"array({', '.join(map(_literal, value))})"
    return str(value) if isinstance(value, int) else text_literal(str(value))
