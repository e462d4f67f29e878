"""Reads one table at a snapshot into Parquet files: exact values, without unchanged rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lakefeed.errors import TableFailed
from lakefeed.loading.comparison.counted_rows import rows_not_held
from lakefeed.loading.extract.delete_detection import refuse_shrink
from lakefeed.loading.extract.kept_rows import as_they_are_now, left_rows
from lakefeed.loading.extract.parquet_copy import (
    Target,
    copy_from_source,
    copy_kept,
    copy_query,
    copy_tombstones,
)
from lakefeed.loading.extract.profiler import profile_of
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.detached import Detached
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.latest_rows import LatestRows, as_compared
from lakefeed.loading.raw.profile import Profile
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.sql import file_literal
from lakefeed.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Reading:
    """The result of reading: rows read, rows written, and the range of the cursor.

    `files` maps each file with rows to their number; a reading without rows keeps its first file.
    `is_news` is whether raw needs this load; a table that was emptied is news without rows.
    `newest` is the largest finite cursor value, but at most the safe horizon. `cursor_min` and
    `cursor_max` are written as DuckDB does; with `mode: append`, they and `null_cursors_noted` are
    those of the rows written, by which later loads find them, otherwise those of the rows read.
    `profile` is None if no rows were written. `of_detached` counts the rows of partitions that have
    left since the latest load.
    """

    files: dict[Path, int]
    schema: pa.Schema
    rows_read: int
    rows: int
    is_news: bool
    deleted: int
    null_cursors: int
    newest: CursorValue | None
    cursor_min: str | None
    cursor_max: str | None
    null_cursors_noted: int = 0
    profile: Profile | None = None
    of_detached: int = 0


def read_table(
    source: SourceAtSnapshot,
    session: SourceSession,
    plan: TablePlan,
    queries: Sequence[str],
    target: Target,
    *,
    held: LatestRows,
    horizon: CursorValue | None,
    further: Iterable[str] = (),
) -> Reading:
    """Runs the queries on the source and writes the rows that raw doesn't have yet.

    Args:
        queries: a single query if `held` has loads to compare with.
        further: queries for other rows; used only if `held` has loads to compare with.
        held: the latest rows in raw to compare with; empty to write every row.
        horizon: the largest value that the checkpoint may reach; None for no limit.
    """
    if not held:
        written = copy_from_source(source, session, plan, queries, target)
        return measure(session, plan, target, written, horizon=horizon)
    (sql,) = queries
    with session.in_one_thread():
        rows_read = take_in(session, session.rows_of(sql))
        for sql in further:
            rows_read += session.changed_rows(f"insert into incoming from {session.rows_of(sql)}")
    with session.in_threads_for(rows_read):
        written = copy_query(session, plan, _changed(session, plan, held), target)
        reading = measure(session, plan, target, written, horizon=horizon, of="incoming")
    session.execute("drop table incoming")
    return replace(reading, rows_read=rows_read)


def read_whole_table(
    source: SourceAtSnapshot,
    session: SourceSession,
    plan: TablePlan,
    queries: Sequence[str],
    target: Target,
    *,
    held: LatestRows,
    horizon: CursorValue | None,
    allow_shrink: bool,
    detached: Detached | None = None,
    hidden: Collection[str] = (),
) -> Reading:
    """Reads all rows; the reading isn't news if they equal the rows in raw.

    Args:
        detached: the rows in raw of partitions that are no longer attached; where they are to be
            kept, they are written beside the rows read.
        hidden: columns whose values in raw must not be repeated.

    Raises:
        Refused: the table lost all of its rows, or more than `max_shrink` allows.
        TableFailed: rows to be kept don't fit the table's columns.
    """
    written = copy_from_source(source, session, plan, queries, target)
    reading = measure(session, plan, target, written, horizon=horizon)
    if not held:
        return reading
    before = f"({held.newest_rows(session, plan)})"
    left = left_rows(session, plan, before, rows_of(written), detached)
    rows_before = _count(session, before) - left.expected
    refuse_shrink(
        plan,
        before=rows_before,
        lost=rows_before - reading.rows,
        is_empty=reading.rows == 0,
        allow_shrink=allow_shrink,
        detached=detached if left.since_latest else None,
    )
    now = rows_of(written)
    if left.kept:
        now = f"(from {now} union all by name {left.kept})"
    same = plan.cursor is None and _same_rows(session, plan, now, before)
    reading = replace(reading, is_news=not same, of_detached=left.since_latest)
    if same or not left.kept:
        return reading
    kept = copy_kept(session, plan, as_they_are_now(session, plan, hidden), target)
    files = _with_rows({**reading.files, **kept})
    return replace(reading, files=files, rows=reading.rows + sum(kept.values()))


def take_in(session: SourceSession, rows: str) -> int:
    """Creates the temporary table `incoming` with these rows, and returns their number.

    Args:
        rows: a from-clause item; it is read once.
    """
    return session.changed_rows(f"create or replace temp table incoming as from {rows}")


def holds_incoming(session: SourceSession, plan: TablePlan, latest_rows: LatestRows) -> bool:
    """Whether raw already has all rows of `incoming` with the same values."""
    if not latest_rows:
        return False
    return _count(session, f"({_changed(session, plan, latest_rows)} limit 1)") == 0


def same_rows_as(
    session: SourceSession, plan: TablePlan, latest_rows: LatestRows, rows: str
) -> int | None:
    """The number of these rows if they are exactly the rows in raw; otherwise None."""
    before = f"({latest_rows.newest_rows(session, plan)})"
    read = take_in(session, rows)
    return read if _same_rows(session, plan, "incoming", before) else None


def _changed(session: SourceSession, plan: TablePlan, latest_rows: LatestRows) -> str:
    """A query for the rows that differ from their latest version in raw in any column; with `mode:
    append`, for those that raw doesn't hold yet."""
    if plan.table.appends:
        return rows_not_held(session, plan, latest_rows)
    if not _same_types(session, latest_rows):
        return "select * from incoming"
    same = " and ".join(
        f"{as_compared(column, 'incoming')} is not distinct from {as_compared(column, 'latest')}"
        for column in plan.columns
    )
    latest = latest_rows.newest_rows(session, plan, among="incoming")
    return f"select incoming.* from incoming anti join ({latest}) as latest on {same}"


def _same_types(session: SourceSession, latest_rows: LatestRows) -> bool:
    types = latest_rows.types(session)
    incoming = session.execute("describe incoming").fetchall()
    return all(types.get(row[0].lower(), row[1]) == row[1] for row in incoming)


def _same_rows(session: SourceSession, plan: TablePlan, written: str, before: str) -> bool:
    """Whether both relations contain the same rows, in any order.

    Compares two aggregates of 64-bit hashes, which needs no memory: an exact comparison took 2.2 GB
    for ten million rows.
    """
    columns = ", ".join(as_compared(column, "rows") for column in plan.columns)
    fingerprint = (
        f"select count(*), sum(hash({columns})::hugeint), bit_xor(hash('again', {columns})) from"
    )
    now, then = (
        session.execute(f"{fingerprint} {relation} as rows").fetchall()
        for relation in (written, before)
    )
    return now == then


def measure(
    session: SourceSession,
    plan: TablePlan,
    target: Target,
    written: dict[Path, int],
    *,
    horizon: CursorValue | None,
    of: str | None = None,
) -> Reading:
    """Describes the files and determines the cursor's range over all rows read.

    Side effect: writes the target's tombstones, if it has some.

    Args:
        written: the rows of each file.
        of: the relation of all rows read, if not all of them were written.
    """
    deleted = target.tombstones.found if target.tombstones else 0
    tombstones = copy_tombstones(session, target)
    paths, rows = tuple(written), sum(written.values())
    schema = session.execute(f"from {rows_of(paths[:1])} limit 0").to_arrow_table().schema
    reading = Reading(
        files=_with_rows(written | tombstones),
        schema=schema,
        rows_read=rows,
        rows=rows,
        is_news=rows + deleted > 0,
        deleted=deleted,
        null_cursors=0,
        newest=None,
        cursor_min=None,
        cursor_max=None,
        profile=profile_of(session, plan.columns, paths, rows) if rows else None,
    )
    if plan.cursor is None:
        return reading
    nulls, newest, low, high = _range_of_cursor(session, plan, of or rows_of(paths), horizon)
    if nulls and plan.table.settings.on_null_cursor == "error":
        rows_with_null = counted(nulls, "row")
        raise TableFailed(
            f"{plan.table.shown} has {rows_with_null} with a null cursor `{plan.cursor.name}`",
            where=plan.table.where_of("on_null_cursor"),
            do="fill the column, or set `on_null_cursor` to `include` (read these rows with every "
            "load) or `exclude` (never read them)",
        )
    noted = nulls
    if of and plan.table.appends:
        noted, _, low, high = _range_of_cursor(session, plan, rows_of(paths), horizon)
    return replace(
        reading,
        null_cursors=nulls,
        newest=newest,
        cursor_min=low,
        cursor_max=high,
        null_cursors_noted=noted,
    )


def _with_rows(files: dict[Path, int]) -> dict[Path, int]:
    """The files with rows; if there are none, the first file, since every load needs one."""
    return {path: rows for path, rows in files.items() if rows} or dict(list(files.items())[:1])


def _range_of_cursor(
    session: SourceSession, plan: TablePlan, relation: str, horizon: CursorValue | None
) -> tuple[int, CursorValue | None, str | None, str | None]:
    """The number of null cursors; the newest value up to the horizon; the smallest and largest."""
    assert plan.cursor is not None
    cursor = plan.cursor.value()
    finite = "true" if plan.cursor_kind == "number" else f"isfinite({cursor})"
    nulls, newest, low, high = session.execute(
        f"select count(*) filter ({cursor} is null), "
        # `least` ignores nulls: without a cursor it would be the horizon, above rows to come.
        f"case when max({cursor}) filter ({finite}) is not null "
        f"then least(max({cursor}) filter ({finite}), $horizon) end, "
        f"min({cursor})::varchar, max({cursor})::varchar from {relation}",
        {"horizon": horizon},
    ).fetchall()[0]
    return int(nulls), newest, low, high


def rows_of(paths: Iterable[Path]) -> str:
    """A from-clause item for the rows in these files of one load."""
    return f"read_parquet([{', '.join(map(file_literal, paths))}], hive_partitioning = false)"


def _count(session: SourceSession, relation: str) -> int:
    return int(session.execute(f"select count(*) from {relation}").fetchall()[0][0])
