"""Reads and writes the publication state in a warehouse that DuckDB reads."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from typing import Any

from duckdb import DuckDBPyConnection

from lakefeed.transformation.warehouse.base.format import FORMAT, holds
from lakefeed.transformation.warehouse.base.publication_state import (
    MODELS,
    TABLES,
    PublicationState,
    model_rows,
    state_of,
    table_rows,
)

_DDL = f"""
create schema if not exists _lakefeed;
create or replace table _lakefeed.format as select '{FORMAT}' as version;
create or replace table _lakefeed.publication (published_at timestamptz);
"""
# One statement for all rows: for each parameter that it binds, DuckDB looks for pandas and other
# packages again.
_ROWS = """
create or replace table _lakefeed.{name} as
select unnest(from_json($rows, '{structure}'), max_depth := 2)
"""


def read_state(session: DuckDBPyConnection) -> PublicationState:
    """Reads the state of the warehouse in this session; empty if Lakefeed never published it."""
    if not holds(session, "publication"):
        return PublicationState()
    (published_at,) = session.execute(
        "select epoch_us(published_at) from _lakefeed.publication"
    ).fetchall()[0]
    return state_of(published_at, _tables_in(session), _models_in(session))


def write_state(session: DuckDBPyConnection, state: PublicationState) -> None:
    """Replaces the state of the warehouse in this session, in one transaction."""
    session.begin()
    session.execute(_DDL)
    session.execute("insert into _lakefeed.publication values (?)", [state.published_at])
    _write_rows(session, "tables", TABLES, table_rows(state))
    _write_rows(session, "models", MODELS, model_rows(state))
    session.commit()


def _write_rows(
    session: DuckDBPyConnection,
    name: str,
    columns: Mapping[str, tuple[str, str]],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    types = {column: type_.upper() for column, (type_, _) in columns.items()}
    # The structure of a list type is a list, as in `[{"waits_for": ["VARCHAR"]}]`.
    structure = [{c: [t[:-2]] if t.endswith("[]") else t for c, t in types.items()}]
    values = [dict(zip(columns, row, strict=True)) for row in rows]
    session.execute(
        _ROWS.format(name=name, structure=json.dumps(structure)),
        {"rows": json.dumps(values, default=dt.datetime.isoformat)},
    )
    session.execute(
        "; ".join(
            f"comment on column _lakefeed.{name}.{column} is '{meaning}'"
            for column, (_, meaning) in columns.items()
        )
    )


def _tables_in(session: DuckDBPyConnection) -> list[tuple[Any, ...]]:
    known = {row[0] for row in session.execute("describe _lakefeed.tables").fetchall()}
    sees = "sees_deletes" if "sees_deletes" in known else "null"
    query = f"""
        select lake_name, table_name, epoch_us(complete_through), loads, newest_load, row_count,
            epoch_us(built_at), epoch_us(published_at), {sees}
        from _lakefeed.tables
    """
    return session.execute(query).fetchall()


def _models_in(session: DuckDBPyConnection) -> list[tuple[Any, ...]]:
    query = """
        select model, epoch_us(complete_through), epoch_us(built_at), epoch_us(published_at),
            held_back_because, waits_for
        from _lakefeed.models
    """
    return session.execute(query).fetchall()
