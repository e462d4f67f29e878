"""Finds rows that were deleted from the source, or added unnoticed, by comparing keys.

A tombstone repeats the row's last version with `_deleted_at` set. Only keys go into temporary
tables, which DuckDB spills to disk, so memory stays bounded for any number of rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lakefeed.declaration.explain import shown
from lakefeed.declaration.models.table_settings import Shrink
from lakefeed.errors import Refused
from lakefeed.loading.plan.column_names import DELETED_AT, WAL_COLUMNS
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.detached import LEFT_EARLIER, LEFT_NOW, STANDS, Detached, of_partitions
from lakefeed.loading.plan.queries import MARKED, keys_query, rows_query
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.latest_rows import GONE, LEFT, POSITION, LatestRows
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.equality import named_key, names_of_key
from lakefeed.sql import literal
from lakefeed.wording import counted

ARRIVED = "arrived_keys"
_PRESENT = "_lakefeed_present"
_CURSOR = "_lakefeed_cursor"
# Ten million keys took 2.1 GB without a limit, and with it 0.85 GB in two thirds of the time.
_MEMORY = "512MB"


@dataclass(frozen=True)
class Tombstones:
    """A query for rows deleted from the source. `found` counts those that this load found."""

    query: str
    found: int


@dataclass(frozen=True)
class Moved:
    """The result of comparing keys.

    `arrived` counts rows that the source has, raw lacks and the load wouldn't read: they appeared,
    or reappeared, below the cursor's checkpoint. `earliest` is their smallest cursor value.
    `of_detached` counts the rows of partitions that have left since the latest load.
    """

    tombstones: Tombstones
    arrived: int
    earliest: CursorValue | None
    of_detached: int = 0


@dataclass(frozen=True)
class _Counts:
    """Numbers of rows: in raw; deleted from it; of these, in partitions that left earlier and since
    the latest load. And `Moved.arrived` and `.earliest`."""

    alive: int
    deleted: int
    left_earlier: int
    left_now: int
    arrived: int
    earliest: CursorValue | None


def compare_keys(
    session: SourceSession,
    plan: TablePlan,
    latest: LatestRows,
    *,
    read: str,
    found_at: dt.datetime,
    again: bool,
    allow_shrink: bool,
    hidden: Collection[str] = (),
    detached: Detached | None = None,
) -> Moved:
    """Compares the keys in raw with those of the source at the snapshot.

    Side effect: creates the temporary tables `moved_keys`, which the tombstone query reads, and
    `ARRIVED`, with the keys of the rows that arrived.

    Args:
        latest: the latest rows in raw.
        read: a condition in the source's SQL for rows that this load reads anyway, or that no load
            reads.
        found_at: the snapshot's time.
        again: include rows that earlier loads found deleted.
        hidden: columns whose values in raw must not be repeated; they are null in tombstones.
        detached: the rows in raw of partitions that are no longer attached.

    Raises:
        Refused: all rows were deleted, or more than `max_shrink` allows.
    """
    with limited_memory(session):
        since = detached.since if detached else str(STANDS)
        found = _compare(session, plan, keys_query(plan, read), latest.keys(session, plan, since))
    expected = found.left_earlier + found.left_now if detached and detached.are_expected else 0
    before, lost = found.alive - expected, found.deleted - expected
    refuse_shrink(
        plan,
        before=before,
        lost=lost,
        is_empty=lost == before and not _has_rows(session, plan),
        allow_shrink=allow_shrink,
        detached=detached if found.left_now else None,
    )
    keeps = detached is not None and detached.keeps
    keys = ", ".join(names_of_key(plan.key_columns))
    known = "true" if again else f"{GONE} is null"
    if keeps:
        known += f" and ({LEFT} = {STANDS} or {GONE} is not null)"
    gone_since = f"coalesce({GONE}, {literal(found_at.isoformat())}::timestamptz)"
    of_log = WAL_COLUMNS if plan.table.reads_log else {}
    log = "".join(f", null::{kind} as {name}" for name, kind in of_log.items())
    query = (
        f"select {latest.as_planned(session, plan, hidden)}{log}, {gone_since} as {DELETED_AT} "
        f"from (select *, {named_key(plan.key_columns)}, {latest.position} as {POSITION} "
        f"from {latest.relation}) as latest join "
        f"(select {keys}, {POSITION}, {GONE} from moved_keys where {_PRESENT} is null and {known}) "
        f"using ({keys}, {POSITION}) {latest.last_of_each_load(session, keys, 'latest')}"
    )
    tombstones = Tombstones(query, lost if keeps else found.deleted)
    return Moved(tombstones, found.arrived, found.earliest, found.left_now)


@contextmanager
def limited_memory(session: SourceSession) -> Iterator[None]:
    """Lowers DuckDB's memory limit within the block, then restores the former value.

    In DuckDB 1.5, `reset memory_limit` changes the setting but not the limit in force
    (duckdb/duckdb#22203); use it here once the minimum version has the fix (#22208).
    """
    limit = session.execute("select current_setting('memory_limit')").fetchall()[0][0]
    session.execute(f"set memory_limit = '{_MEMORY}'")
    try:
        yield
    finally:
        session.execute(f"set memory_limit = '{_as_large_as(limit)}'")


def _as_large_as(limit: str) -> str:
    """A limit that DuckDB shows as this one.

    It cuts what it shows to one decimal, so that set again as shown it shrinks with each use: from
    18.8 GiB to 18.5 GiB in three.
    """
    number, unit = limit.split(" ")
    return f"{number}5 {unit}" if "." in number else limit


def _compare(session: SourceSession, plan: TablePlan, keys_sql: str, keys_in_raw: str) -> _Counts:
    """Compares the keys of both, and leaves those that only one has in `moved_keys`."""
    keys = ", ".join(names_of_key(plan.key_columns))
    cursor = f", {plan.cursor.value()} as {_CURSOR}" if plan.cursor else ""
    source = (
        f"(select {named_key(plan.key_columns)}{cursor}, {MARKED}, true as {_PRESENT} "
        f"from {session.rows_of(keys_sql)})"
    )
    arrived = f"{_PRESENT} and not {MARKED} and ({POSITION} is null or {GONE} is not null)"
    session.execute(f"create temp table raw_keys as {keys_in_raw}")
    session.execute(
        f"create or replace temp table moved_keys as from raw_keys full join {source} "
        f"using ({keys}) where {_PRESENT} is null or ({arrived})"
    )
    session.execute(
        f"create or replace temp table {ARRIVED} as select {keys} from moved_keys where {_PRESENT}"
    )
    is_deleted = f"{_PRESENT} is null and {GONE} is null"
    alive, deleted, earlier, now, count, earliest = session.execute(
        f"select (select count(*) from raw_keys where {GONE} is null), "
        f"count(*) filter ({is_deleted}), "
        f"count(*) filter ({is_deleted} and {LEFT} = {LEFT_EARLIER}), "
        f"count(*) filter ({is_deleted} and {LEFT} = {LEFT_NOW}), "
        f"count(*) filter ({_PRESENT}), "
        f"min({_CURSOR if plan.cursor else 'null'}) filter ({_PRESENT}) from moved_keys"
    ).fetchall()[0]
    session.execute("drop table raw_keys")
    return _Counts(
        alive=int(alive),
        deleted=int(deleted),
        left_earlier=int(earlier),
        left_now=int(now),
        arrived=int(count),
        earliest=earliest,
    )


def _has_rows(session: SourceSession, plan: TablePlan) -> bool:
    return bool(session.fetch(rows_query(plan, at_most=1)))


def refuse_shrink(
    plan: TablePlan,
    *,
    before: int,
    lost: int,
    is_empty: bool,
    allow_shrink: bool,
    detached: Detached | None = None,
) -> None:
    """Declines a load that would delete too much: more often a mistake in the source than intent.

    Args:
        before: the number of rows in raw; `lost` of them are no longer in the source.
        is_empty: the source has no rows at all.
        detached: partitions that have left since the latest load, with some of the lost rows.

    Raises:
        Refused: the table lost all of its rows, or more than `max_shrink` allows.
    """
    allowed = plan.table.settings.max_shrink
    if allow_shrink or lost <= 0:
        return
    rows = counted(before, "row")
    if is_empty and not allowed.allows_all:
        loss = "now has none"
    elif not allowed.allows(before, lost):
        loss = f"lost {lost:,} of them ({lost / before:.0%}); `max_shrink` allows {_limit(allowed)}"
    else:
        return
    remedy = f"if this is expected: lakefeed run --select {plan.table.shown} --allow-shrink"
    if detached and not detached.are_expected:
        loss += f"; among them are rows {of_partitions(detached.names)}"
        remedy = f"declare `on_detach: keep` or `remove` for such rows; or, {remedy}"
    raise Refused(f"{plan.table.shown} had {rows} and {loss}", where=plan.table.where, do=remedy)


def _limit(allowed: Shrink) -> str:
    floor = f", or fewer than {allowed.rows:,} rows" if allowed.rows > 1 else ""
    return f"{shown(allowed.share)}{floor}"
