"""Which rows came late: those that lie below where a load would have begun without a lookback."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
from duckdb import DuckDBPyConnection

from lakefeed.declaration.models import Cursor
from lakefeed.declaration.tables import Table
from lakefeed.errors import StorageFailed
from lakefeed.loading.plan.cursors import CursorValue, as_cursor_value, horizon_for
from lakefeed.loading.plan.table_plan import DELETED_AT
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.source.inspection.types import CursorKind, cursor_kind
from lakefeed.sql import literal, quote

MOST_LOADS = 500


@dataclass(frozen=True)
class Continued:
    """A load that went on from a checkpoint: where it would have begun with no lookback."""

    load: Load
    start: CursorValue


@dataclass(frozen=True)
class LateRows:
    """Rows of these loads, how many came later than each span, and the longest in seconds."""

    loads: int
    rows: int
    above: dict[dt.timedelta, int]
    longest: dt.timedelta


def clock_of(table: Table) -> CursorKind | None:
    """What kind of time its cursor is; None where it has none, or one that is no time."""
    column = (
        table.catalogue.column(table.cursor.column) if table.cursor and table.catalogue else None
    )
    kind = cursor_kind(column.type) if column else None
    return None if kind == "number" else kind


def continued(loads: Sequence[Load], cursor: Cursor, kind: CursorKind) -> list[Continued]:
    """The loads that say something of lateness: they went on from a checkpoint of this cursor.

    Neither first loads, backfills nor whole reads do. One that found a new column, or read in
    another way than the load before, may have gone back to the beginning for it.
    """
    return list(_continued(loads, cursor, kind))


def late_rows(
    engine: DuckDBPyConnection,
    log: CommitLog,
    table: Table,
    kind: CursorKind,
    spans: Sequence[dt.timedelta],
) -> LateRows:
    """How late the rows of a table's 500 newest loads came.

    Reads the cursors of rows in raw; changes nothing.

    Raises:
        StorageFailed: a file of raw is lost or damaged.
    """
    assert table.cursor is not None
    chosen = continued(log.loads(), table.cursor, kind)[-MOST_LOADS:]
    loads, rows = len(chosen), sum(one.load.rows for one in chosen)
    with_files = [one for one in chosen if one.load.files]
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
        if start is not None and is_alike and not load.supersedes and load.cursor == cursor.column:
            yield Continued(load, start)
        before = load


def _is_read_alike(before: Load, load: Load) -> bool:
    if before.read_as is None or load.read_as is None:
        return before.read_as == load.read_as
    # Rows of a part that came whole didn't come late.
    has_same_parts = before.read_as.parts == load.read_as.parts
    return has_same_parts and before.read_as.is_like(load.read_as)


def _start_without_lookback(load: Load, cursor: Cursor, kind: CursorKind) -> CursorValue | None:
    if load.checkpoint_before is None:
        return None
    try:
        noted = dt.datetime.fromisoformat(load.checkpoint_before)
    except ValueError:
        # A checkpoint of another kind of cursor, by the same name.
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
    chosen: Sequence[Continued],
    spans: Sequence[dt.timedelta],
) -> str:
    rows = LatestRows.of(log, [one.load for one in chosen]).relation
    name = quote(cursor.column)
    starts = ", ".join(
        f"({literal(one.load.load_id)}, {literal(str(one.start))}::{kind})" for one in chosen
    )
    counted = ", ".join(f"count(*) filter (late_by > {_microseconds(span)})" for span in spans)
    # A tombstone is as old as its row; it didn't come late. Files without any lack the column.
    return f"""
        with starts(load_id, start) as (values {starts}),
        tombstones as (select null::timestamptz as {DELETED_AT} where false),
        arrived as (
            select * from {rows} union all by name from tombstones
        ),
        late as (
            select epoch_us(start) - epoch_us({name}::{_as_time(kind)}) as late_by
            from arrived join starts on load_id = _dlt_load_id
            where {DELETED_AT} is null and {name} < start and isfinite({name})
        )
        select {counted}, max(late_by) from late
    """


def _as_time(kind: CursorKind) -> str:
    return "timestamp" if kind == "date" else kind


def _microseconds(span: dt.timedelta) -> int:
    return span // dt.timedelta(microseconds=1)
