"""Rows that have left the source, or came to it unseen: found by comparing keys at the snapshot.

A tombstone is the row's last version once more, with `_deleted_at` set. Only keys are held in
temporary tables, which DuckDB spills to disk: memory stays bounded however many rows there are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lakefeed.declaration.explain import shown
from lakefeed.declaration.models import Shrink
from lakefeed.errors import Refused
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.queries import MARKED, keys_query, rows_query
from lakefeed.loading.plan.table_plan import DELETED_AT, TablePlan
from lakefeed.loading.raw.latest_rows import GONE, POSITION, LatestRows
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.equality import named_key, names_of_key
from lakefeed.sql import literal, quote

ARRIVED = "arrived_keys"
_PRESENT = "_lakefeed_present"
_CURSOR = "_lakefeed_cursor"
# Ten million keys took 2.1 GB without a limit, and with it 0.85 GB in two thirds of the time.
_MEMORY = "512MB"


@dataclass(frozen=True)
class Tombstones:
    """A query for the rows that have left the source; `found` of them now, the rest earlier."""

    query: str
    found: int


@dataclass(frozen=True)
class Moved:
    """What comparing keys brought.

    `arrived` counts rows that the source has, raw lacks, and the load wouldn't read: they came, or
    came back, without a change that its cursor shows. `earliest` is the smallest cursor of them.
    """

    tombstones: Tombstones
    arrived: int
    earliest: CursorValue | None


def compare_keys(
    session: SourceSession,
    plan: TablePlan,
    held: LatestRows,
    *,
    read: str,
    found_at: dt.datetime,
    again: bool,
    allow_shrink: bool,
) -> Moved:
    """Compares the keys that raw holds with those that the source has at the snapshot.

    Side effect: leaves the temporary table `moved_keys` in the session, which the query for
    tombstones reads, and `ARRIVED` with the keys of the rows that arrived.

    Args:
        read: the source's condition for rows that the load reads anyway, or never.
        found_at: the snapshot's time.
        again: let the query bring the rows, too, that earlier loads found deleted.

    Raises:
        Refused: all rows are gone, or more than `max_shrink` allows.
    """
    with little_memory(session):
        alive, deleted, arrived, earliest = _compare(session, plan, keys_query(plan, read), held)
    is_empty = deleted == alive and not _has_rows(session, plan)
    refuse_shrink(plan, before=alive, lost=deleted, is_empty=is_empty, allow_shrink=allow_shrink)
    keys = ", ".join(names_of_key(plan.key_columns))
    known = "true" if again else f"{GONE} is null"
    gone_since = f"coalesce({GONE}, {literal(found_at.isoformat())}::timestamptz)"
    query = (
        f"select {held.as_planned(session, plan)}, {gone_since} as {DELETED_AT} "
        f"from (select *, {named_key(plan.key_columns)}, {held.position} as {POSITION} "
        f"from {held.relation}) as held join "
        f"(select {keys}, {POSITION}, {GONE} from moved_keys where {_PRESENT} is null and {known}) "
        f"using ({keys}, {POSITION})"
    )
    return Moved(Tombstones(query, deleted), arrived, earliest)


@contextmanager
def little_memory(session: SourceSession) -> Iterator[None]:
    """`reset memory_limit` would keep the limit that it finds."""
    limit = session.execute("select current_setting('memory_limit')").fetchall()[0][0]
    session.execute(f"set memory_limit = '{_MEMORY}'")
    try:
        yield
    finally:
        session.execute(f"set memory_limit = '{limit}'")


def _compare(
    session: SourceSession, plan: TablePlan, keys_sql: str, held: LatestRows
) -> tuple[int, int, int, CursorValue | None]:
    """How many rows raw holds, how many of them are gone, how many arrived, and from which cursor
    on."""
    keys = ", ".join(names_of_key(plan.key_columns))
    cursor = f", {quote(plan.cursor.name)} as {_CURSOR}" if plan.cursor else ""
    source = (
        f"(select {named_key(plan.key_columns)}{cursor}, {MARKED}, true as {_PRESENT} "
        f"from {session.rows_of(keys_sql)})"
    )
    arrived = f"{_PRESENT} and not {MARKED} and ({POSITION} is null or {GONE} is not null)"
    session.execute(f"create temp table held_keys as {held.keys(session, plan)}")
    session.execute(
        f"create or replace temp table moved_keys as from held_keys full join {source} "
        f"using ({keys}) where {_PRESENT} is null or ({arrived})"
    )
    session.execute(
        f"create or replace temp table {ARRIVED} as select {keys} from moved_keys where {_PRESENT}"
    )
    alive, deleted, count, earliest = session.execute(
        f"select (select count(*) from held_keys where {GONE} is null), "
        f"count(*) filter ({_PRESENT} is null and {GONE} is null), "
        f"count(*) filter ({_PRESENT}), "
        f"min({_CURSOR if plan.cursor else 'null'}) filter ({_PRESENT}) from moved_keys"
    ).fetchall()[0]
    session.execute("drop table held_keys")
    return int(alive), int(deleted), int(count), earliest


def _has_rows(session: SourceSession, plan: TablePlan) -> bool:
    return bool(session.fetch(rows_query(plan, at_most=1)))


def refuse_shrink(
    plan: TablePlan, *, before: int, lost: int, is_empty: bool, allow_shrink: bool
) -> None:
    """An emptied table is more often a mistake than a fact.

    Args:
        before: how many rows raw holds; `lost` of them are gone.
        is_empty: the source has no row at all.

    Raises:
        Refused: the table lost all of its rows, or more than `max_shrink` allows.
    """
    allowed = plan.table.settings.max_shrink
    if allow_shrink or lost <= 0:
        return
    rows = "1 row" if before == 1 else f"{before:,} rows"
    if is_empty and not allowed.allows_all:
        told = "now has none"
    elif not allowed.allows(before, lost):
        told = f"lost {lost:,} of them ({lost / before:.0%}); `max_shrink` allows {_shown(allowed)}"
    else:
        return
    raise Refused(
        f"{plan.table.shown} had {rows} and {told}",
        where=plan.table.where,
        do=f"if that is right: lakefeed run --select {plan.table.shown} --allow-shrink",
    )


def _shown(allowed: Shrink) -> str:
    floor = f", or fewer than {allowed.rows:,} rows" if allowed.rows > 1 else ""
    return f"{shown(allowed.share)}{floor}"
