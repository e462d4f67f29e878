"""Copies rows of the source to Parquet: one file per query, in as many sessions as are free."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import psycopg2

from lakefeed.errors import LakefeedError
from lakefeed.loading.extract.delete_detection import Tombstones
from lakefeed.loading.plan.column_names import DELETED_AT, WAL_COLUMNS
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.read_progress import ReadProgress
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.sql import literal

# 122,880 rows is DuckDB's default row group size, by which it skips and parallelizes. Wide rows
# also need a limit in bytes: 150,000 rows of 10 kB took 2.8 GB of memory without it, 0.36 GB with
# it. The encodings of version 2 made the file of TPC-H's lineitem a quarter smaller, in less time.
PARQUET = (
    "format parquet, parquet_version v2, compression zstd, compression_level 1, "
    "row_group_size 122880, row_group_size_bytes '32MB'"
)


@dataclass(frozen=True)
class Target:
    """The files to write, and what they contain besides the rows read."""

    folder: Path
    load_id: str
    tombstones: Tombstones | None

    def path(self, number: int) -> Path:
        """The file of one query, numbered from 0."""
        return self.folder / f"{self.load_id}.{number}.parquet"


@dataclass(frozen=True)
class _Part:
    """One query and the file that its rows are written to, whose number is noted in `written`."""

    plan: TablePlan
    sql: str
    path: Path
    load_id: str
    written: dict[Path, int]
    progress: ReadProgress

    @property
    def _selected(self) -> str:
        """The columns read, and those that only changes of the log have."""
        of_log = WAL_COLUMNS if self.plan.table.reads_log else {}
        return ", ".join(["*", *(f"null::{kind} as {name}" for name, kind in of_log.items())])

    def copy(self, session: SourceSession) -> None:
        # From the session that copies: the from-clause item may be valid in this session only.
        with session.copied_rows_of(self.sql) as arriving:
            query = f"select {self._selected} from {arriving}"
            copied = _copy(self.plan, query, self.path, self.load_id)
            self.written[self.path] = rows = session.changed_rows(copied)
        self.progress.statement_done(self.plan.table.lake_name, rows)


def copy_from_source(
    source: SourceAtSnapshot,
    session: SourceSession,
    plan: TablePlan,
    queries: Sequence[str],
    target: Target,
) -> dict[Path, int]:
    """Runs each query on the source and writes its rows to a separate file.

    Several sessions share the work, all at the snapshot of the given one. If no other session is
    available, the given one reads everything. Returns the rows of each file, in order.
    """
    paths = tuple(target.path(number) for number in range(len(queries)))
    written = dict.fromkeys(paths, 0)
    todo = deque(
        _Part(
            plan=plan,
            sql=sql,
            path=path,
            load_id=target.load_id,
            written=written,
            progress=source.progress,
        )
        for sql, path in zip(queries, paths, strict=True)
    )
    with session.in_one_thread():
        if len(todo) == 1:
            todo.popleft().copy(session)
        else:
            _copy_in_parallel(source, session, plan, todo)
    return written


def copy_query(
    session: SourceSession, plan: TablePlan, query: str, target: Target
) -> dict[Path, int]:
    """Writes the rows of a query that reads only data already in the session."""
    path = target.path(0)
    return {path: session.changed_rows(_copy(plan, query, path, target.load_id))}


def copy_kept(
    session: SourceSession, plan: TablePlan, query: str, target: Target
) -> dict[Path, int]:
    """Writes the rows of a query that reads earlier loads to a file of their own."""
    path = target.folder / f"{target.load_id}.kept.parquet"
    return {path: session.changed_rows(_copy(plan, query, path, target.load_id))}


def copy_tombstones(session: SourceSession, target: Target) -> dict[Path, int]:
    """Writes the tombstones to a file if the table watches deletes."""
    if target.tombstones is None:
        return {}
    path = target.folder / f"{target.load_id}.deleted.parquet"
    return {path: session.changed_rows(_into(path, target.tombstones.query, target.load_id))}


def _copy_in_parallel(
    source: SourceAtSnapshot, session: SourceSession, plan: TablePlan, todo: deque[_Part]
) -> None:
    """Copies the parts, starting a helper session, if one is available, before each own part."""
    if source.is_alone:
        while todo:
            _copy_next(session, todo)
        return
    snapshot = session.export_snapshot()
    helpers: list[Future[None]] = []
    with ThreadPoolExecutor(len(todo), "lakefeed_range") as pool:
        try:
            while todo or _is_any_returned(helpers, todo):
                working = [helper for helper in helpers if not helper.done()]
                if len(working) + 1 < min(source.sessions_for(plan), len(todo)):
                    helpers.append(pool.submit(_help, source, plan, snapshot, todo))
                _copy_next(session, todo)
        except BaseException:
            todo.clear()
            raise


def _is_any_returned(helpers: Sequence[Future[None]], todo: deque[_Part]) -> bool:
    """Waits for the helpers, and returns whether one of them failed and returned its part."""
    wait(helpers)
    return bool(todo)


def _help(source: SourceAtSnapshot, plan: TablePlan, snapshot: str, todo: deque[_Part]) -> None:
    """Copies parts while there are any. If it fails, its part is left to the other sessions."""
    with (
        suppress(duckdb.Error, psycopg2.Error, LakefeedError),
        source.further_session(plan, snapshot) as session,
    ):
        if session:
            with session.in_one_thread():
                while todo:
                    _copy_next(session, todo)


def _copy_next(session: SourceSession, todo: deque[_Part]) -> None:
    try:
        part = todo.popleft()
    except IndexError:
        # Another session took the last part.
        return
    try:
        part.copy(session)
    except BaseException:
        todo.appendleft(part)
        raise


def _copy(plan: TablePlan, query: str, path: Path, load_id: str) -> str:
    added = [f"null::timestamptz as {DELETED_AT}"] if plan.watches_deletes else []
    selected = ", ".join(["*", *added])
    return _into(path, f"select {selected} from ({query})", load_id)


def _into(path: Path, query: str, load_id: str) -> str:
    return (
        f"copy (select *, {literal(load_id)} as _dlt_load_id from ({query})) "
        f"to {literal(str(path))} ({PARQUET})"
    )
