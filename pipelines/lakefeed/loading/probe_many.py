"""Probes many tables in a few statements, without reading their rows.

The newest load of a table read every row of its window that its snapshot saw. If today's window
begins no earlier, and no row in it was written since that snapshot (by its `xmin`), raw has all of
its rows. A table for which that isn't certain is left to a probe of its own, which compares rows.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2

from lakefeed.errors import SourceUnreachable
from lakefeed.interruption import raise_if_interrupted
from lakefeed.loading.comparison.loads_to_compare import loads_to_compare
from lakefeed.loading.extract.window import Window, condition_of, window_of
from lakefeed.loading.load_result import LoadResult
from lakefeed.loading.plan.cursors import parsed_checkpoint
from lakefeed.loading.plan.queries import summary_query, written_since
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.probe import MOST_ROWS, SettledTable
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.probing_session import Fetch, ProbingSession, probing_session
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.transactions import in_flight_at
from lakefeed.source.snapshot import Snapshot

_TABLES_A_STATEMENT = 50
# So long may a statement keep its tables locked; each alone may take longer.
_TIMEOUT_MS = 2_000

# Texts of cursors whose order is that of their values, and which PostgreSQL reads as DuckDB does.
_NUMBER = re.compile(r"-?\d+")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?(\+00)?)?")

# PostgreSQL's FirstNormalObjectId: lower oids belong to system tables.
_FIRST_USER_OID = 16_384

# The tables locked by this transaction whose storage still is the one that its snapshot sees.
_INTACT = f"""
select c.oid::bigint
from pg_class as c
join pg_locks as l on l.relation = c.oid
where l.locktype = 'relation' and l.pid = pg_backend_pid() and l.database = (
        select oid from pg_database where datname = current_database()
    )
    and c.oid >= {_FIRST_USER_OID} and pg_relation_filenode(c.oid) = c.relfilenode
"""


@dataclass(frozen=True)
class _Question:
    """What to ask about a settled table.

    Attributes:
        condition: the source's condition for the rows of its window.
        written: that for the rows written since its newest load.
        newest: the largest cursor of all loads; None for `cursor: xmin`.
    """

    settled: SettledTable
    condition: str
    written: str
    newest: str | None

    @property
    def plan(self) -> TablePlan:
        return self.settled.plan


@dataclass(frozen=True)
class _Summary:
    """The answer: what the source has in the window, and which table that is now."""

    rows: int
    null_cursors: int
    has_written: bool
    is_above_newest: bool | None
    is_at_newest: bool | None
    oid: int
    columns: tuple[str, ...]


def probe_many(
    source: SourceAtSnapshot, tables: Sequence[SettledTable]
) -> dict[str, LoadResult | None]:
    """What a load of each table would find, by lake name.

    The result of a load that finds nothing new; None where there are new rows. A table that is
    missing has to be probed by itself.
    """
    asked = [one for table in tables if (one := _question_about(table, source.snapshot))]
    found: dict[str, LoadResult | None] = {}
    if not asked or source.snapshot.id is None or source.is_alone:
        return found
    try:
        with probing_session(source, source.snapshot.id) as session:
            for first in range(0, len(asked), _TABLES_A_STATEMENT):
                raise_if_interrupted()
                found |= _answers(session, asked[first : first + _TABLES_A_STATEMENT])
    except (psycopg2.Error, SourceUnreachable):
        # Without this session, the probe of each table tells what is the matter.
        return found
    return found


def _question_about(table: SettledTable, snapshot: Snapshot) -> _Question | None:
    """What tells whether the table has new rows; None where only comparing its rows does."""
    plan, newest = table.plan, _newest_read(table.effective)
    is_known = newest is not None and newest.in_flight is not None
    if not is_known or plan.table.reads_log or not _depends_on_its_rows_alone(plan):
        return None
    assert newest is not None and newest.in_flight is not None
    window = window_of(plan, table.effective, snapshot)
    condition = condition_of(plan, window)
    if condition is None or not _has_files(table, window):
        return None
    if plan.table.reads_row_versions:
        return _Question(table, condition, "true", None)
    now = in_flight_at(snapshot, newest.in_flight)
    continues = now.history is not None and now.continues(newest.in_flight)
    cursor = _newest_cursor(plan, table.effective)
    if cursor is None or not continues or not _begins_no_earlier(plan, window, newest):
        return None
    written = written_since(newest.in_flight.oldest_unfinished, now.next_number)
    return _Question(table, condition, written, cursor)


def _newest_read(effective: Sequence[Load]) -> Load | None:
    return next((load for load in reversed(effective) if not load.is_backfill), None)


def _depends_on_its_rows_alone(plan: TablePlan) -> bool:
    """Whether what is read can't change without a row being written, and no lock is watched."""
    live, settings = plan.table.catalogue, plan.table.settings
    is_one_table = (
        live is not None
        and live.kind == "table"
        and [part.oid for part in plan.parts] == [plan.identity]
    )
    return (
        is_one_table
        and settings.where is None
        and settings.max_lock_wait is None
        and all(
            # An expression or a name, such as a `regclass`, may become another.
            column.identity is not None
            and column.identity.expression is None
            and not column.identity.type.startswith("reg")
            for column in plan.columns
        )
    )


def _has_files(table: SettledTable, window: Window) -> bool:
    """Whether raw still has the files that a comparison would open. A store isn't asked."""
    log = table.log
    loads = loads_to_compare(table.plan, table.effective, window.start)
    return not log.raw.is_local or all(
        log.filesystem.exists(log.path_of(file)) for load in loads for file in load.files
    )


def _newest_cursor(plan: TablePlan, effective: Sequence[Load]) -> str | None:
    """The largest cursor of all loads as text; None where their order can't be told from it."""
    if plan.cursor is None or any(load.cursor != plan.cursor.recorded for load in effective):
        return None
    known = {load.cursor_max for load in effective if load.cursor_max is not None}
    is_number = plan.cursor_kind == "number"
    form = _NUMBER if is_number else _MOMENT
    if not all(map(form.fullmatch, known)):
        return None
    return max(known, key=int if is_number else None, default=None)


def _begins_no_earlier(plan: TablePlan, window: Window, newest: Load) -> bool:
    """Whether the window certainly begins where the newest load's began, or later.

    That one began at its checkpoint before, less the lookback of its time; or at the beginning.
    """
    if newest.supersedes or newest.checkpoint_before is None:
        return True
    assert plan.cursor_kind is not None
    before: Any = parsed_checkpoint(newest.checkpoint_before, plan.cursor_kind)
    return before is not None and window.start is not None and window.start >= before


def _answers(session: ProbingSession, batch: Sequence[_Question]) -> dict[str, LoadResult | None]:
    started = time.monotonic()
    bounds = [one.plan.statement_timeout_ms or _TIMEOUT_MS for one in batch]
    try:
        with session.transaction(min(_TIMEOUT_MS, *bounds)) as fetch:
            summaries = _summaries_of(batch, fetch)
            intact = {oid for (oid,) in fetch(_INTACT)}
    except psycopg2.Error:
        # One of them is locked, takes long, or can't be read: its own probe tells which.
        return {}
    seconds = (time.monotonic() - started) / len(batch)
    return {
        question.plan.table.lake_name: result
        for number, question in enumerate(batch)
        for result in _results(question, summaries[number], intact, seconds)
    }


def _summaries_of(batch: Sequence[_Question], fetch: Fetch) -> Mapping[int, _Summary]:
    queries = (
        summary_query(
            one.plan,
            one.condition,
            number=number,
            written=one.written,
            newest=one.newest,
            at_most=MOST_ROWS + 1,
        )
        for number, one in enumerate(batch)
    )
    answers = fetch("\nunion all\n".join(queries))
    return {
        number: _Summary(
            rows=rows,
            null_cursors=nulls,
            has_written=has_written,
            is_above_newest=is_above,
            is_at_newest=is_at,
            oid=oid,
            columns=tuple(json.loads(columns)),
        )
        for number, rows, nulls, has_written, is_above, is_at, oid, columns in answers
    }


def _results(
    question: _Question, found: _Summary, intact: set[int], seconds: float
) -> Iterator[LoadResult | None]:
    """The result, if it is certain; nothing otherwise."""
    live = question.plan.table.catalogue
    is_same_table = (
        live is not None
        and question.plan.identity == found.oid
        and found.oid in intact
        and found.columns == tuple(column.name for column in live.columns)
    )
    if found.rows > MOST_ROWS or found.is_above_newest:
        yield None
    elif is_same_table and _has_no_news(question, found):
        yield question.settled.without_news(found.rows, found.null_cursors, seconds)


def _has_no_news(question: _Question, found: _Summary) -> bool:
    if question.newest is None:
        return found.rows == 0
    # Whether earlier loads have read rows without a cursor depends on how they were declared.
    return bool(found.is_at_newest and not found.has_written and not found.null_cursors)
