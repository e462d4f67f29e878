"""`lakefeed status`: the state of each table, from its commit log and the warehouse."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lakefeed.declaration.environment.variables import environment
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.loading.plan.detached import names_of_left
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import (
    Load,
    checkpoint_after,
    complete,
    effective,
    unfinished,
)
from lakefeed.orchestration.permissions import refuse_missing
from lakefeed.orchestration.reports.run_history import KeptRun, read_runs
from lakefeed.transformation.warehouse.base.publication_state import PublicationState
from lakefeed.transformation.warehouse.declared import warehouse_of

Freshness = Literal["ok", "late", "too late", ""]


@dataclass(frozen=True)
class TableFreshness:
    """The age of a table's newest load, and whether it exceeds the declared freshness."""

    name: str
    last_load: str | None
    age_seconds: float | None
    freshness: Freshness


@dataclass(frozen=True)
class LoadFailure:
    """When a run failed to load a table, and the error."""

    at: str
    error: str


@dataclass(frozen=True)
class TableStatus:
    """A table's checkpoint, newest load, contents of raw and staging, and age.

    Attributes:
        published_at: when its staging model's current rows were published.
        sees_deletes: whether rows deleted in the source are removed from staging or marked there.
        last_failure: how its newest load failed; None if it succeeded, or the table is paused.
        kept_partitions: the detached partitions whose rows are kept (`on_detach: keep`).
        paused: whether it isn't loaded (`enabled: false`).
        first_load: how far its first load in ranges is; empty once that is complete.
        environment: the environment that it is the state of; empty without one.
    """

    name: str
    mode: str
    checkpoint: str | None
    last_load: str | None
    last_load_rows: int
    loads: int
    files: int
    raw_rows: int
    age_seconds: float | None
    freshness: Freshness
    sees_deletes: bool
    staged_rows: int | None = None
    published_at: str | None = None
    last_failure: LoadFailure | None = None
    kept_partitions: tuple[str, ...] = ()
    paused: bool = False
    first_load: str = ""
    environment: str = field(default_factory=environment)


def status(project: Project, tables: tuple[Table, ...], now: dt.datetime) -> list[TableStatus]:
    """The state of these tables. Reads raw and the warehouse; connects to no source.

    Raises:
        StorageFailed: a link points to a missing folder.
    """
    refuse_missing(project)
    published = warehouse_of(project).published
    with published.open():
        staged, state = published.staged_since(tables, 0), published.state()
    failures = _last_failures(read_runs(project.data))
    return [
        replace(
            raw,
            last_failure=None if table.is_paused else failures.get(table.shown),
            staged_rows=staged[table.lake_name].rows if table.lake_name in staged else None,
            published_at=_published_at(state, table),
        )
        for table, raw in zip(tables, status_of_raw(project, tables, now), strict=True)
    ]


def status_of_raw(
    project: Project, tables: tuple[Table, ...], now: dt.datetime
) -> list[TableStatus]:
    """The state of these tables from raw alone, for when the warehouse can't be opened."""
    return [
        _status_of(table, CommitLog(project.raw, table.lake_name).loads(), now) for table in tables
    ]


def freshness(project: Project, tables: Iterable[Table], now: dt.datetime) -> list[TableFreshness]:
    """The age of these tables. Reads only raw, so that it can run during a build."""
    return [
        TableFreshness(table.shown, _time_of(newest), age, _freshness(table, age))
        for table in tables
        for newest in (_newest(complete(CommitLog(project.raw, table.lake_name).loads())),)
        for age in (_age(newest, now),)
    ]


def checkpoint_of_table(project: Project, table: Table) -> str | None:
    """The checkpoint that the next load of this table starts from."""
    return checkpoint_after(CommitLog(project.raw, table.lake_name).loads())


def _last_failures(runs: Iterable[KeptRun]) -> dict[str, LoadFailure]:
    """The failures of newest loads, by table.

    Args:
        runs: oldest first.
    """
    failures: dict[str, LoadFailure] = {}
    for run in runs:
        for table in run.tables:
            failures.pop(table.name, None)
            if table.error:
                at = run.started_at.isoformat(timespec="seconds")
                failures[table.name] = LoadFailure(at, table.error)
    return failures


def _published_at(state: PublicationState, table: Table) -> str | None:
    table_state = state.tables.get(table.lake_name)
    published = table_state.published_at if table_state else None
    return published.isoformat(timespec="seconds") if published else None


def _status_of(table: Table, loads: list[Load], now: dt.datetime) -> TableStatus:
    newest = _newest(complete(loads))
    age = _age(newest, now)
    return TableStatus(
        name=table.shown,
        mode=table.mode,
        # A paused table's entry may no longer say that it has one.
        checkpoint=checkpoint_after(loads) if table.goes_on or table.is_paused else None,
        last_load=_time_of(newest),
        last_load_rows=newest.rows if newest else 0,
        loads=len(loads),
        files=len({file for load in loads for file in load.files}),
        raw_rows=sum(load.rows for load in loads),
        age_seconds=age,
        freshness=_freshness(table, age),
        sees_deletes=table.sees_deletes,
        kept_partitions=_kept_partitions(table, effective(loads)),
        paused=table.is_paused,
        first_load=_first_load(loads),
    )


def _kept_partitions(table: Table, counting: Sequence[Load]) -> tuple[str, ...]:
    read_as = counting[-1].read_as if counting else None
    if read_as is None or table.settings.on_detach != "keep":
        return ()
    return names_of_left(read_as.detached, read_as.partitions or ())


def _first_load(loads: list[Load]) -> str:
    so_far = unfinished(loads)
    return so_far[-1].range.shown if so_far and so_far[-1].range else ""


def _newest(loads: list[Load]) -> Load | None:
    return max(loads, key=lambda load: float(load.load_id), default=None)


def _time_of(load: Load | None) -> str | None:
    return load.loaded_at.isoformat(timespec="seconds") if load else None


def _age(load: Load | None, now: dt.datetime) -> float | None:
    return (now - load.loaded_at).total_seconds() if load else None


def _freshness(table: Table, age: float | None) -> Freshness:
    bounds = table.settings.freshness
    if bounds is None or table.is_paused:
        return ""
    for bound, verdict in ((bounds.error_after, "too late"), (bounds.warn_after, "late")):
        if bound is not None and (age is None or age > bound.total_seconds()):
            return verdict  # type: ignore[return-value]
    return "ok"
