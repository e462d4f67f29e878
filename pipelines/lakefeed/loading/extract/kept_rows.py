"""Finds the rows of detached partitions where the whole table is read, and carries them over.

A load of the whole table supersedes earlier ones, so rows that are to be kept have to be in it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lakefeed.declaration.catalogue import Column
from lakefeed.errors import TableFailed
from lakefeed.loading.plan.detached import LEFT_NOW, STANDS, Detached
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.latest_rows import LEFT
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.equality import same_key
from lakefeed.source.inspection.types import lake_type, widens
from lakefeed.sql import quote
from lakefeed.wording import counted

_LEFT_ROWS = "left_rows"


@dataclass(frozen=True)
class LeftRows:
    """Rows of partitions that are no longer attached, which raw has and the source lacks.

    Attributes:
        expected: how many there are, if what becomes of them is declared.
        since_latest: how many were attached at the latest load.
        kept: a from-clause item for those to keep; None if there are none.
    """

    expected: int = 0
    since_latest: int = 0
    kept: str | None = None


def left_rows(
    session: SourceSession, plan: TablePlan, before: str, now: str, detached: Detached | None
) -> LeftRows:
    """The rows of detached partitions that were in raw and aren't in the source.

    Side effect: creates a temporary table with them, which DuckDB can spill to disk.

    Args:
        before: the latest rows in raw, as a from-clause item; `now`: those of the source.
    """
    if detached is None or not plan.key:
        return LeftRows()
    session.execute(
        f"create or replace temp table {_LEFT_ROWS} as "
        f"select before.* from (select *, {detached.since} as {LEFT} from {before}) as before "
        f"anti join {now} as now on {same_key(plan.key_columns, 'before', 'now')} "
        f"where {LEFT} <> {STANDS}"
    )
    rows, since_latest = session.execute(
        f"select count(*), count(*) filter ({LEFT} = {LEFT_NOW}) from {_LEFT_ROWS}"
    ).fetchall()[0]
    return LeftRows(
        expected=int(rows) if detached.are_expected else 0,
        since_latest=int(since_latest),
        kept=f"(select * exclude ({LEFT}) from {_LEFT_ROWS})" if rows and detached.keeps else None,
    )


def as_they_are_now(session: SourceSession, plan: TablePlan, hidden: Collection[str]) -> str:
    """A query for the rows that `left_rows` found, with the columns as they are now.

    Args:
        hidden: columns that become null, since their earlier values may be clear.

    Raises:
        TableFailed: a value isn't exactly one of its column's type now, or a key would be lost.
    """
    types = {row[0]: row[1].lower() for row in session.execute(f"describe {_LEFT_ROWS}").fetchall()}
    wanted = {column.name: lake_type(column.type).duckdb for column in plan.columns}
    if lost := [name for name in plan.key if name in hidden]:
        raise _refused(plan, f"the key column `{lost[0]}` is hashed otherwise now")
    for column in plan.columns:
        was, now = types[column.name], wanted[column.name]
        if column.name not in hidden and was != now and not widens(was, now):
            _refuse_inexact(session, plan, column, was=was, now=now)
    selected = ", ".join(
        f"cast({'null' if name in hidden else quote(name)} as {now}) as {quote(name)}"
        for name, now in wanted.items()
    )
    return f"select {selected} from {_LEFT_ROWS}"


def refuse_other_key(plan: TablePlan, before: Sequence[str], detached: Detached) -> None:
    """Refuses to keep rows by a key that they weren't loaded by.

    Raises:
        TableFailed: the key has changed since the latest load.
    """
    if detached.keeps and tuple(before) != plan.key:
        raise _refused(plan, "they were loaded by another primary key")


def note_of_hidden(plan: TablePlan, hidden: Collection[str]) -> str:
    """The note about columns that kept rows no longer have."""
    listed = ", ".join(f"`{column.name}`" for column in plan.columns if column.name in hidden)
    return f"the kept rows of detached partitions have null in {listed}, whose values were clear"


def _refuse_inexact(
    session: SourceSession, plan: TablePlan, column: Column, *, was: str, now: str
) -> None:
    name = quote(column.name)
    changed = f"try_cast(try_cast({name} as {now}) as {was}) is distinct from {name}"
    rows = session.execute(f"select count(*) from {_LEFT_ROWS} where {changed}").fetchall()[0][0]
    if rows:
        raise _refused(
            plan,
            f"{counted(int(rows), 'value')} of `{column.name}` can't be written as "
            f"{column.type} exactly",
        )


def _refused(plan: TablePlan, why: str) -> TableFailed:
    return TableFailed(
        f"{plan.table.shown} is read in full and can't keep the rows of detached partitions: {why}",
        where=plan.table.where_of("on_detach"),
        do="undo the change, or let go of the rows: `on_detach: remove`",
    )
