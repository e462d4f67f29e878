"""Rows of the source copied to Parquet: a file for each query, by as many sessions as are free."""

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
from lakefeed.loading.plan.table_plan import DELETED_AT, TablePlan
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.sql import literal

# 122,880 rows is DuckDB's own row group: it can skip and parallelise by it. Wide rows need a bound
# in bytes too: 150,000 rows of 10 kB took 2.8 GB of memory without, 0.36 GB with it. The encodings
# of version 2 made lineitem's file a quarter smaller, in less time.
PARQUET = (
    "format parquet, parquet_version v2, compression zstd, compression_level 1, "
    "row_group_size 122880, row_group_size_bytes '32MB'"
)


@dataclass(frozen=True)
class Target:
    """The files to write, and what goes into them beside the rows that are read."""

    folder: Path
    load_id: str
    tombstones: Tombstones | None

    def path(self, number: int) -> Path:
        """The file of one query; they are numbered from 0."""
        return self.folder / f"{self.load_id}.{number}.parquet"


@dataclass(frozen=True)
class _Part:
    """What one query reads, and the file that its rows go to."""

    plan: TablePlan
    sql: str
    path: Path
    load_id: str

    def copy(self, session: SourceSession) -> None:
        # Asked of the session that reads them: what holds the rows may be known to it alone.
        rows = f"from {session.rows_of(self.sql)}"
        session.execute(_copy(self.plan, rows, self.path, self.load_id))


def copy_from_source(
    source: SourceAtSnapshot,
    session: SourceSession,
    plan: TablePlan,
    queries: Sequence[str],
    target: Target,
) -> tuple[Path, ...]:
    """Runs each query on the source and writes its rows to a file of its own.

    Several sessions share the work, all at the snapshot of the given one; where no second one can
    be had, it reads all of it.
    """
    paths = tuple(target.path(number) for number in range(len(queries)))
    todo = deque(
        _Part(plan, sql, path, target.load_id) for sql, path in zip(queries, paths, strict=True)
    )
    with session.in_one_thread():
        if len(todo) == 1:
            todo.popleft().copy(session)
        else:
            _side_by_side(source, session, plan, todo)
    return paths


def copy_query(
    session: SourceSession, plan: TablePlan, query: str, target: Target
) -> tuple[Path, ...]:
    """Writes the rows of a query that reads what the session has already."""
    session.execute(_copy(plan, query, target.path(0), target.load_id))
    return (target.path(0),)


def copy_tombstones(session: SourceSession, target: Target) -> tuple[Path, ...]:
    """Writes the rows that have left the source to a file, where they are looked for."""
    if target.tombstones is None:
        return ()
    path = target.folder / f"{target.load_id}.deleted.parquet"
    session.execute(_into(path, target.tombstones.query, target.load_id))
    return (path,)


def _side_by_side(
    source: SourceAtSnapshot, session: SourceSession, plan: TablePlan, todo: deque[_Part]
) -> None:
    """Copies the parts; before each of its own, the session asks for a helper."""
    snapshot = session.export_snapshot()
    helpers: list[Future[None]] = []
    with ThreadPoolExecutor(len(todo), "lakefeed_range") as pool:
        try:
            while todo or _is_left_by(helpers, todo):
                working = [helper for helper in helpers if not helper.done()]
                if len(working) + 1 < min(source.sessions_for(plan), len(todo)):
                    helpers.append(pool.submit(_help, source, plan, snapshot, todo))
                _copy_next(session, todo)
        except BaseException:
            todo.clear()
            raise


def _is_left_by(helpers: Sequence[Future[None]], todo: deque[_Part]) -> bool:
    """Waits for the helpers, and tells whether one of them has put a part back."""
    wait(helpers)
    return bool(todo)


def _help(source: SourceAtSnapshot, plan: TablePlan, snapshot: str, todo: deque[_Part]) -> None:
    """Copies parts while there are any. Whatever stops it, its part is left to the others."""
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
        # Another session was faster.
        return
    try:
        part.copy(session)
    except BaseException:
        todo.appendleft(part)
        raise


def _copy(plan: TablePlan, query: str, path: Path, load_id: str) -> str:
    alive = f"select *, null::timestamptz as {DELETED_AT} from ({query})"
    return _into(path, alive if plan.watches_deletes else query, load_id)


def _into(path: Path, query: str, load_id: str) -> str:
    return (
        f"copy (select *, {literal(load_id)} as _dlt_load_id from ({query})) "
        f"to {literal(str(path))} ({PARQUET})"
    )
