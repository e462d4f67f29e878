"""Gathers everything that `lakefeed docs` shows of a lake.

Connects to no source, except for what the slots of tables that read the log hold back.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from duckdb import DuckDBPyConnection

from lakefeed.declaration.environment.variables import environment
from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError, StorageFailed
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.late_arrivals import clock_of, late_rows
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.duckdb_engine import engine_for
from lakefeed.orchestration.build.rollback import read_rollback
from lakefeed.orchestration.inspect.status import TableStatus, status, status_of_raw
from lakefeed.orchestration.log.slot_states import SlotState, slot_states
from lakefeed.orchestration.reports.data_test_history import DataTestResult, newest_test_results
from lakefeed.orchestration.reports.lateness import Lateness, spans_to_count
from lakefeed.orchestration.reports.run_history import KeptRun, read_runs
from lakefeed.orchestration.reports.schema_history import SchemaChange, schema_changes
from lakefeed.transformation.manifest import Model, read_models, test_names
from lakefeed.transformation.warehouse.base.publication_state import (
    ModelState,
    PublicationState,
    TableState,
)
from lakefeed.transformation.warehouse.declared import warehouse_of

_DAY = dt.timedelta(days=1)
LoadKind = Literal["first", "whole", "backfill", "new"]


@dataclass(frozen=True)
class LoadPoint:
    """A committed load: its rows and its kind."""

    load_id: str
    at: dt.datetime
    rows: int
    deleted: int
    kind: LoadKind


@dataclass(frozen=True)
class TableOverview:
    """A declared table: its state, its loads (oldest first) and how late its rows arrive.

    `lateness` is None if the table's cursor isn't a time, or if its files can't be read: `unread`
    then says why.
    """

    table: Table
    status: TableStatus
    loads: tuple[LoadPoint, ...]
    standing: TableState | None
    lateness: Lateness | None
    changes: tuple[SchemaChange, ...]
    unread: str = ""


@dataclass(frozen=True)
class ModelOverview:
    """A model and its state in the warehouse, if it exists there."""

    model: Model
    standing: ModelState | None
    rows: int | None


@dataclass(frozen=True)
class Overview:
    """The state of a lake at one moment.

    Attributes:
        runs: the recorded runs, oldest first.
        never_ran: the number of tests that no recorded run has run.
        rolled_back: the warning to show while the warehouse is rolled back.
        unread: why the warehouse could not be read, if so.
        environment: the environment that this is the lake of; empty without one.
        slots: those through which tables read the log.
    """

    name: str
    made_at: dt.datetime
    tables: tuple[TableOverview, ...]
    runs: tuple[KeptRun, ...]
    test_results: tuple[DataTestResult, ...]
    models: tuple[ModelOverview, ...]
    changes: tuple[SchemaChange, ...]
    published_at: dt.datetime | None
    has_warehouse: bool
    never_ran: int = 0
    rolled_back: str = ""
    unread: str = ""
    environment: str = field(default_factory=environment)
    slots: tuple[SlotState, ...] = ()


def overview(project: Project, now: dt.datetime) -> Overview:
    """The lake as of now. Reads raw, the warehouse and the recorded runs; changes nothing."""
    state, unread = _publication_state(project)
    models = read_models(project)
    runs, known = read_runs(project.data), test_names(project)
    found = tuple(newest_test_results(runs, known))
    rollback = None if unread else read_rollback(project)
    tables = tuple(_tables(project, state, now, unread=unread))
    changes = [change for table in tables for change in table.changes]
    return Overview(
        name=project.root.name,
        made_at=now,
        tables=tables,
        runs=runs,
        test_results=found,
        models=tuple(_models(project, models, state, unread=unread)),
        changes=tuple(sorted(changes, key=lambda change: change.at)),
        published_at=state.published_at,
        has_warehouse=bool(unread) or warehouse_of(project).exists(),
        never_ran=len(known) - len(found),
        rolled_back=rollback.warning if rollback else "",
        unread=unread,
        slots=slot_states(project, project.tables),
    )


def _publication_state(project: Project) -> tuple[PublicationState, str]:
    try:
        return warehouse_of(project).published.state(), ""
    except LakefeedError as error:
        return PublicationState(), str(error)


def _tables(
    project: Project, state: PublicationState, now: dt.datetime, *, unread: str
) -> Iterator[TableOverview]:
    read_status = status_of_raw if unread else status
    statuses = read_status(project, project.tables, now)
    with engine_for(project) as engine:
        for table, table_status in zip(project.tables, statuses, strict=True):
            log = CommitLog(project.raw, table.lake_name)
            loads = log.loads()
            found = TableOverview(
                table=table,
                status=table_status,
                loads=tuple(_points(table, loads)),
                standing=state.tables.get(table.lake_name),
                lateness=None,
                changes=tuple(schema_changes(table.shown, loads)),
            )
            try:
                yield replace(found, lateness=_lateness(engine, log, table))
            except StorageFailed as error:
                # A lost or torn file must not hide the rest of the lake.
                yield replace(found, unread=error.what)


def _points(table: Table, loads: Sequence[Load]) -> Iterator[LoadPoint]:
    for place, load in enumerate(loads):
        kind: LoadKind = "new"
        if place == 0 or load.range:
            kind = "first"
        elif load.supersedes:
            kind = "whole"
        elif load.checkpoint is None and table.cursor:
            kind = "backfill"
        yield LoadPoint(
            load_id=load.load_id, at=load.loaded_at, rows=load.rows, deleted=load.deleted, kind=kind
        )


def _lateness(engine: DuckDBPyConnection, log: CommitLog, table: Table) -> Lateness | None:
    kind, lookback = clock_of(table), table.settings.lookback
    if kind is None or not isinstance(lookback, dt.timedelta):
        return None
    is_date = kind == "date"
    if is_date:
        lookback = -(-lookback // _DAY) * _DAY
    found = late_rows(engine, log, table, kind, spans_to_count(lookback))
    return Lateness(
        lookback=lookback,
        loads=found.loads,
        rows=found.rows,
        above=found.above,
        longest=found.longest,
        whole_days=is_date,
        finds_returned=table.settings.deletes != "ignore",
    )


def _models(
    project: Project, models: Sequence[Model], state: PublicationState, *, unread: str
) -> Iterator[ModelOverview]:
    relations = [(model.schema, model.identifier) for model in models]
    counts = {} if unread else warehouse_of(project).published.row_counts(relations)
    for model in models:
        rows = counts.get((model.schema, model.identifier))
        yield ModelOverview(model, state.models.get(model.name), rows)
