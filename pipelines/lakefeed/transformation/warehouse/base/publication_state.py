"""The publication state: how complete and how recent each table and model of a warehouse is.

Stored in the warehouse itself, so that it is published, kept and rolled back with the data:

    _lakefeed.format        the format version of these tables (docs/formats.md)
    _lakefeed.publication   when this version was published
    _lakefeed.tables        each declared table: through when it is complete, and its loads
    _lakefeed.models        each staging model and mart: through when it is complete, and whether it
                            is held back
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from duckdb import DuckDBPyConnection

from lakefeed.transformation.warehouse.base.format import FORMAT, holds

# Each column's type and description.
_TABLES = {
    "table_name": ("varchar", "The declared table: source.table."),
    "lake_name": ("varchar", "The name of the table in the lake."),
    "complete_through": (
        "timestamptz",
        "Everything committed in the source by this time is included.",
    ),
    "loads": ("bigint", "Number of loads in its staging model."),
    "newest_load": ("varchar", "Id of the newest load in its staging model."),
    "row_count": ("bigint", "Number of rows in its staging model; null if that is a view."),
    "built_at": ("timestamptz", "When its staging model was last built successfully."),
    "published_at": ("timestamptz", "When that build was published."),
    "sees_deletes": (
        "boolean",
        "Whether rows deleted in the source are removed or marked in staging.",
    ),
}
_MODELS = {
    "model": ("varchar", "The staging model or mart."),
    "complete_through": ("timestamptz", "The earliest complete_through of the tables upstream."),
    "built_at": ("timestamptz", "When it was last built and passed its tests."),
    "published_at": ("timestamptz", "When that build was published."),
    "is_held_back": (
        "boolean",
        "Whether it is held back at an earlier version although there is newer data.",
    ),
    "held_back_because": ("varchar", "Why it is held back."),
    "waits_for": ("varchar[]", "Tables upstream that failed to load, if that is why."),
}
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


@dataclass(frozen=True)
class TableState:
    """The state of a declared table. `published_at` is None until the build is published.

    `sees_deletes` is None in warehouses of older versions, which didn't record it.
    """

    shown: str
    complete_through: dt.datetime | None
    loads: int
    newest_load: str | None
    rows: int | None
    built_at: dt.datetime
    published_at: dt.datetime | None = None
    sees_deletes: bool | None = None


@dataclass(frozen=True)
class HeldBack:
    """Why a model is held back; `waits_for` are the tables upstream that failed to load."""

    because: str
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelState:
    """The state of a model. `built_at` is None if it was never built successfully."""

    complete_through: dt.datetime | None = None
    built_at: dt.datetime | None = None
    published_at: dt.datetime | None = None
    held: HeldBack | None = None

    @property
    def is_new(self) -> bool:
        """Whether the model was built since the last publication."""
        return self.built_at is not None and self.published_at is None


@dataclass(frozen=True)
class PublicationState:
    """The state of a warehouse: tables by lake name, models by name."""

    tables: dict[str, TableState] = field(default_factory=dict)
    models: dict[str, ModelState] = field(default_factory=dict)
    published_at: dt.datetime | None = None

    @property
    def held(self) -> dict[str, HeldBack]:
        return {name: model.held for name, model in self.models.items() if model.held}

    def due(self, failed: Collection[str]) -> set[str]:
        """Held-back models to build again, except those that wait for a table that still fails."""
        return {n for n, held in self.held.items() if not set(held.waits_for) & set(failed)}

    @property
    def has_new_models(self) -> bool:
        return any(model.is_new for model in self.models.values())

    def published(self, now: dt.datetime) -> PublicationState:
        """The state after publication at `now`, the time of all new tables and models."""
        return PublicationState(
            {k: replace(t, published_at=t.published_at or now) for k, t in self.tables.items()},
            {
                name: replace(model, published_at=now) if model.is_new else model
                for name, model in self.models.items()
            },
            now,
        )


def read_state(session: DuckDBPyConnection) -> PublicationState:
    """Reads the state of the warehouse in this session; empty if Lakefeed never published it."""
    if not holds(session, "publication"):
        return PublicationState()
    (published_at,) = session.execute(
        "select epoch_us(published_at) from _lakefeed.publication"
    ).fetchall()[0]
    return PublicationState(_tables_in(session), _models_in(session), _time(published_at))


def write_state(session: DuckDBPyConnection, state: PublicationState) -> None:
    """Replaces the state of the warehouse in this session, in one transaction."""
    tables = [
        (t.shown, name, t.complete_through, t.loads, t.newest_load, t.rows, t.built_at,
         t.published_at, t.sees_deletes)
        for name, t in sorted(state.tables.items())
    ]  # fmt: skip
    models = [
        (name, m.complete_through, m.built_at, m.published_at, m.held is not None,
         m.held.because if m.held else None, list(m.held.waits_for) if m.held else [])
        for name, m in sorted(state.models.items())
    ]  # fmt: skip
    session.begin()
    session.execute(_DDL)
    session.execute("insert into _lakefeed.publication values (?)", [state.published_at])
    _write_rows(session, "tables", _TABLES, tables)
    _write_rows(session, "models", _MODELS, models)
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


def _tables_in(session: DuckDBPyConnection) -> dict[str, TableState]:
    known = {row[0] for row in session.execute("describe _lakefeed.tables").fetchall()}
    sees = "sees_deletes" if "sees_deletes" in known else "null"
    query = f"""
        select lake_name, table_name, epoch_us(complete_through), loads, newest_load, row_count,
            epoch_us(built_at), epoch_us(published_at), {sees}
        from _lakefeed.tables
    """
    return {
        name: TableState(
            shown=shown,
            complete_through=_time(through),
            loads=loads,
            newest_load=newest,
            rows=rows,
            built_at=_known(built),
            published_at=_time(at),
            sees_deletes=sees,
        )
        for name, shown, through, loads, newest, rows, built, at, sees in session.execute(
            query
        ).fetchall()
    }


def _models_in(session: DuckDBPyConnection) -> dict[str, ModelState]:
    query = """
        select model, epoch_us(complete_through), epoch_us(built_at), epoch_us(published_at),
            held_back_because, waits_for
        from _lakefeed.models
    """
    return {
        name: ModelState(
            _time(through), _time(built), _time(at), HeldBack(why, tuple(waits)) if why else None
        )
        for name, through, built, at, why, waits in session.execute(query).fetchall()
    }


def _time(microseconds: int | None) -> dt.datetime | None:
    return None if microseconds is None else _known(microseconds)


def _known(microseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)
