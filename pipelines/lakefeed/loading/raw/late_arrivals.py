"""Measures late rows: rows below the point at which a load would start without a lookback."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.models.table_settings import Cursor
from lakefeed.declaration.table import Table
from lakefeed.errors import StorageFailed
from lakefeed.loading.plan.column_names import DELETED_AT
from lakefeed.loading.plan.cursor_columns import value_of
from lakefeed.loading.plan.cursors import CursorValue, as_cursor_value, horizon_for
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.source.inspection.types import CursorKind, cursor_kind
from lakefeed.sql import literal, quote

MOST_LOADS = 500


@dataclass(frozen=True)
class Continued:
    """A load that continued from a checkpoint; `start` is where it would start with no lookback."""

    load: Load
    start: CursorValue


@dataclass(frozen=True)
class LateRows:
    """The numbers of loads, of rows, and of rows later than each span; and the longest delay."""

    loads: int
    rows: int
    above: dict[dt.timedelta, int]
    longest: dt.timedelta


def clock_of(table: Table) -> CursorKind | None:
    """The kind of the table's cursor if it is a date or time, otherwise None."""
    if table.cursor is None or table.catalogue is None:
        return None
    column = table.catalogue.column(table.cursor.columns[0])
    kind = cursor_kind(column.type) if column else None
    return None if kind == "number" else kind


def continued(loads: Sequence[Load], cursor: Cursor, kind: CursorKind) -> list[Continued]:
    """The loads by which lateness can be measured: they continued from a checkpoint of this cursor.

    First loads, backfills and full refreshes don't, nor do loads that read differently from the
    load before, such as with a new column: they may have started from the beginning.
    """
    return list(_continued(loads, cursor, kind))


def late_rows(
    engine: DuckDBPyConnection,
    log: CommitLog,
    table: Table,
    kind: CursorKind,
    spans: Sequence[dt.timedelta],
) -> LateRows:
    """How late the rows of a table's 500 latest loads were.

    Reads the cursor values of rows in raw; changes nothing.

    Raises:
        StorageFailed: a file of raw is missing or damaged.
    """
    assert table.cursor is not None
    measured = continued(log.loads(), table.cursor, kind)[-MOST_LOADS:]
    loads, rows = len(measured), sum(step.load.rows for step in measured)
    with_files = [step for step in measured if step.load.files]
    if not with_files:
        return LateRows(loads, rows, dict.fromkeys(spans, 0), dt.timedelta(0))
    query = _query(log, table.cursor, kind, with_files, spans)
    try:
        *counts, longest = engine.execute(query).fetchall()[0]
    except duckdb.Error as error:
        raise StorageFailed(str(error).split("\n", 1)[0], where=log.folder) from error
    above = dict(zip(spans, map(int, counts), strict=True))
    return LateRows(loads, rows, above, dt.timedelta(microseconds=int(longest or 0)))


def _continued(loads: Sequence[Load], cursor: Cursor, kind: CursorKind) -> Iterator[Continued]:
    before: Load | None = None
    for load in loads:
        start = _start_without_lookback(load, cursor, kind)
        is_alike = before is not None and _is_read_alike(before, load)
        is_alike = is_alike and load.cursor == cursor.recorded
        if start is not None and is_alike and not load.supersedes:
            yield Continued(load, start)
        before = load


def _is_read_alike(before: Load, load: Load) -> bool:
    if before.read_as is None or load.read_as is None:
        return before.read_as == load.read_as
    # The rows of a newly attached part aren't late.
    has_same_parts = before.read_as.parts == load.read_as.parts
    return has_same_parts and before.read_as.is_like(load.read_as)


def _start_without_lookback(load: Load, cursor: Cursor, kind: CursorKind) -> CursorValue | None:
    if load.checkpoint_before is None:
        return None
    try:
        noted = dt.datetime.fromisoformat(load.checkpoint_before)
    except ValueError:
        # The checkpoint of a cursor column with the same name but another type.
        return None
    checkpoint = as_cursor_value(noted, kind)
    safe_until = load.in_flight.safe_until if load.in_flight else None
    horizon = horizon_for(kind, safe_until, cursor) if safe_until else None
    assert checkpoint is not None
    return checkpoint if horizon is None else min(checkpoint, horizon)


def _query(
    log: CommitLog,
    cursor: Cursor,
    kind: CursorKind,
    measured: Sequence[Continued],
    spans: Sequence[dt.timedelta],
) -> str:
    rows = LatestRows.of(log, [step.load for step in measured]).relation
    value = value_of(cursor, list(map(quote, cursor.columns)))
    starts = ", ".join(
        f"({literal(step.load.load_id)}, {literal(str(step.start))}::{kind})" for step in measured
    )
    counted = ", ".join(f"count(*) filter (late_by > {_microseconds(span)})" for span in spans)
    # Tombstones repeat the cursor of their row and aren't late. The union adds their column, which
    # files without tombstones lack.
    return f"""
        with starts(load_id, start) as (values {starts}),
        tombstones as (select null::timestamptz as {DELETED_AT} where false),
        arrived as (
            select * from {rows} union all by name from tombstones
        ),
        late as (
            select epoch_us(start) - epoch_us({value}::{_as_time(kind)}) as late_by
            from arrived join starts on load_id = _dlt_load_id
            where {DELETED_AT} is null and {value} < start and isfinite({value})
        )
        select {counted}, max(late_by) from late
    """


def _as_time(kind: CursorKind) -> str:
    return "timestamp" if kind == "date" else kind


def _microseconds(span: dt.timedelta) -> int:
    return span // dt.timedelta(microseconds=1)
