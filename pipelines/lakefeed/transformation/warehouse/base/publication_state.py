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
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

# By column of `_lakefeed.tables` and `_lakefeed.models`: DuckDB's type, and what it means.
TABLES = {
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
MODELS = {
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


def table_rows(state: PublicationState) -> list[tuple[Any, ...]]:
    """The rows of `_lakefeed.tables`, with the columns of `TABLES`."""
    return [
        (t.shown, name, t.complete_through, t.loads, t.newest_load, t.rows, t.built_at,
         t.published_at, t.sees_deletes)
        for name, t in sorted(state.tables.items())
    ]  # fmt: skip


def model_rows(state: PublicationState) -> list[tuple[Any, ...]]:
    """The rows of `_lakefeed.models`, with the columns of `MODELS`."""
    return [
        (name, m.complete_through, m.built_at, m.published_at, m.held is not None,
         m.held.because if m.held else None, list(m.held.waits_for) if m.held else [])
        for name, m in sorted(state.models.items())
    ]  # fmt: skip


def state_of(
    published_at: int | None,
    tables: Iterable[tuple[Any, ...]],
    models: Iterable[tuple[Any, ...]],
) -> PublicationState:
    """The state that these rows record; times are microseconds since 1970.

    Args:
        tables: lake name, declared name, complete_through, loads, newest load, rows, built_at,
            published_at, sees_deletes.
        models: model, complete_through, built_at, published_at, why it is held back, what it waits
            for.
    """
    return PublicationState(
        {
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
            for name, shown, through, loads, newest, rows, built, at, sees in tables
        },
        {
            name: ModelState(
                _time(through),
                _time(built),
                _time(at),
                HeldBack(why, tuple(waits)) if why else None,
            )
            for name, through, built, at, why, waits in models
        },
        _time(published_at),
    )


def _time(microseconds: int | None) -> dt.datetime | None:
    return None if microseconds is None else _known(microseconds)


def _known(microseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)
