"""Reading one table at a snapshot into Parquet files: exact values, unchanged rows left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lakefeed.errors import TableFailed
from lakefeed.loading.extract.delete_detection import refuse_shrink
from lakefeed.loading.extract.parquet_copy import (
    Target,
    copy_from_source,
    copy_query,
    copy_tombstones,
)
from lakefeed.loading.extract.profiler import profile_of
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.latest_rows import LatestRows, as_compared
from lakefeed.loading.raw.profile import Profile
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.sql import file_literal, quote

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Reading:
    """What was read: rows in all, rows written, and where the cursor stands.

    `files` are those with rows, and how many; the first is there in any case. `is_news` tells
    whether they say what raw doesn't hold yet; a table that was emptied is news without rows.
    `newest` is the largest finite cursor, held back to the horizon; the texts are DuckDB's.
    `profile` is that of the rows written, None where there are none.
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
    profile: Profile | None = None


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
    """Runs the queries on the source and writes the rows that raw doesn't hold already.

    Args:
        queries: one only, where there are loads to compare with.
        further: queries for other rows; where there are loads to compare with.
        held: the loads to compare with; empty where every row is to be written.
        horizon: the largest value that the checkpoint may reach; None where there is none.
    """
    if not held:
        paths = copy_from_source(source, session, plan, queries, target)
        return _measure(session, plan, target, paths, horizon=horizon)
    (sql,) = queries
    with session.in_one_thread():
        session.execute(f"create temp table incoming as from {session.rows_of(sql)}")
        for sql in further:
            session.execute(f"insert into incoming from {session.rows_of(sql)}")
    rows_read = _count(session, "incoming")
    paths = copy_query(session, plan, _changed(session, plan, held), target)
    reading = _measure(session, plan, target, paths, horizon=horizon, of="incoming")
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
) -> Reading:
    """Reads all rows; no news where they are, to the last value, those that raw holds.

    Raises:
        Refused: the table lost all of its rows, or more than `max_shrink` allows.
    """
    paths = copy_from_source(source, session, plan, queries, target)
    reading = _measure(session, plan, target, paths, horizon=horizon)
    if not held:
        return reading
    before = f"({held.newest_rows(session, plan)})"
    rows_before = _count(session, before)
    refuse_shrink(
        plan,
        before=rows_before,
        lost=rows_before - reading.rows,
        is_empty=reading.rows == 0,
        allow_shrink=allow_shrink,
    )
    same = plan.cursor is None and _same_rows(session, plan, rows_of(paths), before)
    return replace(reading, is_news=not same)


def holds_all(session: SourceSession, plan: TablePlan, held: LatestRows, rows: str) -> bool:
    """Whether raw holds these rows already, to the last value.

    Side effect: leaves the temporary table `incoming` with the rows.

    Args:
        rows: a from-clause item, which is read once.
    """
    session.execute(f"create or replace temp table incoming as from {rows}")
    if not held or _count(session, "incoming") == 0:
        return _count(session, "incoming") == 0
    return _count(session, f"({_changed(session, plan, held)} limit 1)") == 0


def same_rows_as(
    session: SourceSession, plan: TablePlan, held: LatestRows, rows: str
) -> int | None:
    """How many rows there are, where they are all that raw holds; else None."""
    before = f"({held.newest_rows(session, plan)})"
    session.execute(f"create or replace temp table incoming as from {rows}")
    return _count(session, "incoming") if _same_rows(session, plan, "incoming", before) else None


def _changed(session: SourceSession, plan: TablePlan, held: LatestRows) -> str:
    """A query that leaves out rows equal, column by column, to the newest version in raw."""
    if not _same_types(session, held):
        return "select * from incoming"
    same = " and ".join(
        f"{as_compared(column, 'incoming')} is not distinct from {as_compared(column, 'held')}"
        for column in plan.columns
    )
    newest = held.newest_rows(session, plan, among="incoming")
    return f"select incoming.* from incoming anti join ({newest}) as held on {same}"


def _same_types(session: SourceSession, held: LatestRows) -> bool:
    types = held.types(session)
    incoming = session.execute("describe incoming").fetchall()
    return all(types.get(row[0].lower(), row[1]) == row[1] for row in incoming)


def _same_rows(session: SourceSession, plan: TablePlan, written: str, before: str) -> bool:
    """Whether both hold the same rows, in whatever order.

    Compared by two sums of 64-bit hashes, which takes no memory: exact comparison took 2.2 GB for
    ten million rows.
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


def _measure(
    session: SourceSession,
    plan: TablePlan,
    target: Target,
    paths: Sequence[Path],
    *,
    horizon: CursorValue | None,
    of: str | None = None,
) -> Reading:
    """Counts what was written, and takes the cursor's range from all rows read.

    Args:
        of: the rows that were read, where they are more than those that were written.
    """
    deleted = target.tombstones.found if target.tombstones else 0
    gone = copy_tombstones(session, target)
    files = {path: _count(session, rows_of([path])) for path in (*paths, *gone)}
    rows = sum(files[path] for path in paths)
    schema = session.execute(f"from {rows_of(paths[:1])} limit 0").to_arrow_table().schema
    reading = Reading(
        _with_rows(files),
        schema,
        *(rows, rows, rows + deleted > 0, deleted, 0, None, None, None),
        profile_of(session, plan.columns, paths, rows) if rows else None,
    )
    if plan.cursor is None:
        return reading
    nulls, newest, low, high = _range_of_cursor(session, plan, of or rows_of(paths), horizon)
    if nulls and plan.table.settings.on_null_cursor == "error":
        raise TableFailed(
            f"{plan.table.shown} has {nulls:,} rows without a value in its cursor "
            f"`{plan.cursor.name}`",
            where=plan.table.where_of("on_null_cursor"),
            do="fill the column, or say `on_null_cursor: include` (read with every load) or "
            "`exclude` (never read)",
        )
    return replace(reading, null_cursors=nulls, newest=newest, cursor_min=low, cursor_max=high)


def _with_rows(files: dict[Path, int]) -> dict[Path, int]:
    """The files that say something, or the first, since a load without rows needs one as well."""
    return {path: rows for path, rows in files.items() if rows} or dict(list(files.items())[:1])


def _range_of_cursor(
    session: SourceSession, plan: TablePlan, relation: str, horizon: CursorValue | None
) -> tuple[int, CursorValue | None, str | None, str | None]:
    """Rows without a cursor; its newest value that the horizon allows; smallest and largest."""
    assert plan.cursor is not None
    cursor = quote(plan.cursor.name)
    finite = "true" if plan.cursor_kind == "number" else f"isfinite({cursor})"
    nulls, newest, low, high = session.execute(
        f"select count(*) filter ({cursor} is null), "
        f"least(max({cursor}) filter ({finite}), $horizon), "
        f"min({cursor})::varchar, max({cursor})::varchar from {relation}",
        {"horizon": horizon},
    ).fetchall()[0]
    return int(nulls), newest, low, high


def rows_of(paths: Iterable[Path]) -> str:
    """The rows of files of one load, as a from-clause item."""
    return f"read_parquet([{', '.join(map(file_literal, paths))}], hive_partitioning = false)"


def _count(session: SourceSession, relation: str) -> int:
    return int(session.execute(f"select count(*) from {relation}").fetchall()[0][0])
