"""Reading one table at a snapshot into one Parquet file: exact values, unchanged rows left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from duckdb import DuckDBPyConnection

from pipelines.declaration.catalogue import Column
from pipelines.errors import Refused, TableFailed
from pipelines.loading.commits import CommitLog, Load
from pipelines.loading.cursors import CursorValue
from pipelines.loading.engine import literal, source_query
from pipelines.loading.plan import TablePlan
from pipelines.source.inspect import quote
from pipelines.source.types import lake_type

# 122,880 rows is DuckDB's own row group: it can skip and parallelise by it.
_PARQUET = "format parquet, compression zstd, compression_level 1, row_group_size 122880"
# DuckDB's Parquet dictionaries hold 0.0 and -0.0 as one value. Without them a table with floats
# takes a tenth more room, and no more time.
_NO_DICTIONARIES = ", dictionary_size_limit 0"


@dataclass(frozen=True)
class Reading:
    """What was read: rows in all, rows written, and where the cursor stands.

    `is_news` tells whether the file says what raw doesn't hold yet; a table that was emptied is
    news without rows. `newest` is the largest finite cursor, held back to the horizon; the texts
    are DuckDB's.
    """

    path: Path
    schema: pa.Schema
    rows_read: int
    rows: int
    is_news: bool
    null_cursors: int
    newest: CursorValue | None
    cursor_min: str | None
    cursor_max: str | None


def read_table(
    session: DuckDBPyConnection,
    plan: TablePlan,
    sql: str,
    target: Path,
    load_id: str,
    *,
    held: list[Load],
    log: CommitLog,
    horizon: CursorValue | None,
) -> Reading:
    """Runs the query on the source and writes the rows that raw doesn't hold already.

    Args:
        held: the loads to compare with; empty where every row is to be written.
        horizon: the largest value that the checkpoint may reach; None where there is none.
    """
    if held:
        session.execute(f"create temp table incoming as from {source_query(sql)}")
        try:
            rows_read = _count(session, "incoming")
            _write_changed(session, plan, target, load_id, held=held, log=log)
            reading = _measure(session, plan, target, "incoming", horizon)
        finally:
            session.execute("drop table incoming")
    else:
        _copy(session, plan, f"from {source_query(sql)}", target, load_id)
        reading = _measure(session, plan, target, f"read_parquet({literal(str(target))})", horizon)
        rows_read = reading.rows
    return replace(reading, rows_read=rows_read)


def read_whole_table(
    session: DuckDBPyConnection,
    plan: TablePlan,
    sql: str,
    target: Path,
    load_id: str,
    *,
    held: list[Load],
    log: CommitLog,
    horizon: CursorValue | None,
    allow_shrink: bool,
) -> Reading:
    """Reads all rows; no news where they are, to the last value, those that raw holds.

    Raises:
        Refused: the table lost more than `max_shrink` of its rows.
    """
    _copy(session, plan, f"from {source_query(sql)}", target, load_id)
    written = f"read_parquet({literal(str(target))})"
    reading = _measure(session, plan, target, written, horizon)
    if not held:
        return reading
    before = f"({_held_rows(session, plan, held, log)})"
    _refuse_shrink(plan, _count(session, before), reading.rows, allow_shrink=allow_shrink)
    same = plan.cursor is None and _same_rows(session, plan, written, before)
    return replace(reading, is_news=not same)


def _copy(
    session: DuckDBPyConnection, plan: TablePlan, query: str, target: Path, load_id: str
) -> None:
    options = _PARQUET + (_NO_DICTIONARIES if _floats(plan) else "")
    session.execute(
        f"copy (select *, {literal(load_id)} as _dlt_load_id from ({query})) "
        f"to {literal(str(target))} ({options})"
    )


def _floats(plan: TablePlan) -> list[Column]:
    return [c for c in plan.columns if lake_type(c.type).duckdb in ("float", "double")]


def _write_changed(
    session: DuckDBPyConnection,
    plan: TablePlan,
    target: Path,
    load_id: str,
    *,
    held: list[Load],
    log: CommitLog,
) -> None:
    """Leaves out the rows that equal, column by column, the newest version that raw holds."""
    files = _file_list(held, log)
    if not _same_types(session, files):
        return _copy(session, plan, "from incoming", target, load_id)
    same = " and ".join(
        f"incoming.{quote(c.name)} is not distinct from held.{quote(c.name)}" for c in plan.columns
    )
    _copy(
        session,
        plan,
        f"select incoming.* from incoming anti join ({_held_rows(session, plan, held, log)}) "
        f"as held on {same}",
        target,
        load_id,
    )
    return None


def _held_rows(
    session: DuckDBPyConnection, plan: TablePlan, held: list[Load], log: CommitLog
) -> str:
    """A query for the newest version of each key among these loads (all rows without a key)."""
    order = "[" + ", ".join(literal(load.load_id) for load in held) + "]"
    files = _file_list(held, log)
    present = {row[0].lower() for row in _describe(session, files)}
    chosen = ", ".join(
        quote(c.name) if c.name.lower() in present else f"null as {quote(c.name)}"
        for c in plan.columns
    )
    newest = ""
    if plan.key and all(name.lower() in present for name in plan.key):
        keys = ", ".join(quote(name) for name in plan.key)
        newest = (
            f" qualify row_number() over (partition by {keys} "
            f"order by list_position({order}, _dlt_load_id) desc) = 1"
        )
    return f"select {chosen} from {_read_parquet(files)}{newest}"


def _same_types(session: DuckDBPyConnection, files: list[str]) -> bool:
    held = {row[0].lower(): row[1] for row in _describe(session, files)}
    incoming = session.execute("describe incoming").fetchall()
    return all(held.get(row[0].lower(), row[1]) == row[1] for row in incoming)


def _same_rows(session: DuckDBPyConnection, plan: TablePlan, written: str, before: str) -> bool:
    if _count(session, written) != _count(session, before):
        return False
    # To DuckDB 0.0 equals -0.0; a column that was no float before may not even be a number.
    signs = [f"signbit(try_cast({quote(c.name)} as double))" for c in _floats(plan)]
    columns = ", ".join([*(quote(column.name) for column in plan.columns), *signs])
    missing = f"(select {columns} from {written} except all select {columns} from {before})"
    return _count(session, missing) == 0


def check_unique(session: DuckDBPyConnection, plan: TablePlan, reading: Reading) -> None:
    """Holds a declared key against the rows: the database vouches for its own keys alone.

    Raises:
        TableFailed: two of the rows share a key, or a key is null.
    """
    catalogue = plan.table.catalogue
    if not plan.key or reading.rows == 0 or (catalogue and catalogue.primary_key == plan.key):
        return
    key = ", ".join(quote(name) for name in plan.key)
    file = f"read_parquet({literal(str(reading.path))})"
    missing = " or ".join(f"{quote(name)} is null" for name in plan.key)
    example = session.execute(
        f"select concat_ws(', ', {key}), count(*) from {file} group by {key} "
        f"having count(*) > 1 or bool_or({missing}) limit 1"
    ).fetchone()
    if example:
        raise TableFailed(
            f"`primary_key: [{', '.join(plan.key)}]` of {plan.table.shown} doesn't tell its rows "
            f"apart: {example[1]:,} rows share ({example[0]})",
            where=plan.table.where_of("primary_key"),
            do="name the columns that make a row unique",
        )


def _refuse_shrink(plan: TablePlan, before: int, now: int, *, allow_shrink: bool) -> None:
    allowed = plan.table.settings.max_shrink
    if allow_shrink or now >= before * (1 - allowed):
        return
    raise Refused(
        f"{plan.table.shown} had {before:,} rows and now has {now:,}: it lost "
        f"{(before - now) / before:.0%}, and `max_shrink` allows {allowed:.0%}",
        where=plan.table.where,
        do=f"if that is right: lakefeed run --select {plan.table.shown} --allow-shrink",
    )


def _measure(
    session: DuckDBPyConnection,
    plan: TablePlan,
    target: Path,
    relation: str,
    horizon: CursorValue | None,
) -> Reading:
    """Counts what was written to `target`, and takes the cursor's range from all rows read."""
    file = literal(str(target))
    rows = _count(session, f"read_parquet({file})")
    schema = session.execute(f"from read_parquet({file}) limit 0").to_arrow_table().schema
    if plan.cursor is None:
        return Reading(target, schema, rows, rows, rows > 0, 0, None, None, None)
    cursor = quote(plan.cursor.name)
    finite = "true" if plan.cursor_kind == "number" else f"isfinite({cursor})"
    newest, low, high, nulls = session.execute(
        f"select least(max({cursor}) filter ({finite}), $horizon), min({cursor})::varchar, "
        f"max({cursor})::varchar, count(*) filter ({cursor} is null) from {relation}",
        {"horizon": horizon},
    ).fetchall()[0]
    if nulls and plan.table.settings.on_null_cursor == "error":
        raise TableFailed(
            f"{plan.table.shown} has {nulls:,} rows without a value in its cursor "
            f"`{plan.cursor.name}`",
            where=plan.table.where_of("on_null_cursor"),
            do="fill the column, or say `on_null_cursor: include` (read with every load) or "
            "`exclude` (never read)",
        )
    return Reading(target, schema, rows, rows, rows > 0, nulls, newest, low, high)


def _count(session: DuckDBPyConnection, relation: str) -> int:
    return int(session.execute(f"select count(*) from {relation}").fetchall()[0][0])


def _describe(session: DuckDBPyConnection, files: list[str]) -> list[tuple[str, str]]:
    return session.execute(f"describe from {_read_parquet(files)}").fetchall()


def _file_list(held: list[Load], log: CommitLog) -> list[str]:
    return [log.path_of(file) for load in held for file in load.files]


def _read_parquet(files: list[str]) -> str:
    listed = ", ".join(literal(file) for file in files)
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
