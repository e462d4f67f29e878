"""Finds the rows of a table with `mode: append` that raw doesn't hold yet.

Without a key, a row is told by all of its values, and equal rows are counted: if the source has
three and raw has two, one is new. Loads from before a column was added hold rows without it; with
those, rows are compared by the columns that both have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from lakefeed.declaration.catalogue import Column
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.latest_rows import LatestRows, as_counted
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.types import lake_type
from lakefeed.sql import literal, quote

# The number of a row among those equal to it, from 1.
_COPY = "_lakefeed_copy"


def rows_not_held(session: SourceSession, plan: TablePlan, held: LatestRows) -> str:
    """A query for the rows of the temporary table `incoming` that these loads don't hold.

    Each row in raw stands for one equal row at most. Of several that it may stand for, it stands
    for one without values in the columns that it lacks, or else for the one with the lowest cursor.
    """
    rows = "incoming"
    within = _range_of_incoming(session, plan)
    for group in _by_columns(plan, held):
        types = group.types(session)
        common = [column for column in plan.columns if column.name.lower() in types]
        if common:
            rows = f"({_less(plan, rows, group, common, within=within)})"
    return f"select * from {rows}"


def _by_columns(plan: TablePlan, held: LatestRows) -> Iterator[LatestRows]:
    """Loads of the same columns together, those with the most columns of the plan first.

    Columns that came later are in fewer loads, so a row in these has fewer rows to stand for: it
    must choose first.
    """
    groups: dict[frozenset[str], list[Load]] = {}
    planned = {column.name for column in plan.columns}
    for load in held.loads:
        columns = load.read_as.columns if load.read_as else {}
        groups.setdefault(frozenset(planned.intersection(columns)), []).append(load)
    for _, loads in sorted(groups.items(), key=lambda group: -len(group[0])):
        ids = {load.load_id for load in loads}
        files = tuple(file for file in held.files if file.load_id in ids)
        if files:
            yield LatestRows(tuple(loads), files)


def _less(
    plan: TablePlan, rows: str, held: LatestRows, common: Sequence[Column], *, within: str
) -> str:
    """A query for these rows without as many equal ones as the loads hold."""
    incoming = [as_counted(column, "incoming") for column in common]
    kept = [as_counted(column, "held") for column in common]
    names = [f"_lakefeed_value_{number}" for number in range(len(common))]
    values = ", ".join(f"{value} as {name}" for value, name in zip(kept, names, strict=True))
    same = " and ".join(
        f"{value} is not distinct from kept.{name}"
        for value, name in zip(incoming, names, strict=True)
    )
    known = {column.name for column in common}
    condition = within if plan.cursor and plan.cursor.names <= known else "true"
    return f"""
        select incoming.* exclude ({_COPY})
        from (
            select *, row_number() over (
                partition by {", ".join(incoming)} {_order(plan, known)}
            ) as {_COPY}
            from {rows} as incoming
        ) as incoming
        anti join (
            select {values}, row_number() over (partition by {", ".join(kept)}) as {_COPY}
            from (select {_as_planned(common)} from {held.relation}) as held
            where {condition}
        ) as kept on incoming.{_COPY} = kept.{_COPY} and {same}
    """


def _order(plan: TablePlan, known: Collection[str]) -> str:
    """Which of several equal rows come first, and so are those that raw has."""
    later = [
        f"{quote(column.name)} is not null" for column in plan.columns if column.name not in known
    ]
    cursor = f"{plan.cursor.value()} nulls first" if plan.cursor else "true"
    return f"order by {', '.join([*later, cursor])}" if later else ""


def _as_planned(columns: Sequence[Column]) -> str:
    """A select list with the current types. Of a type that doesn't widen, raw has no values: its
    table was read whole."""
    return ", ".join(
        f"cast({quote(column.name)} as {lake_type(column.type).duckdb}) as {quote(column.name)}"
        for column in columns
    )


def _range_of_incoming(session: SourceSession, plan: TablePlan) -> str:
    """A condition that every kept row meets that is equal to one of `incoming`.

    By it, DuckDB leaves out most of a large file.
    """
    assert plan.cursor is not None
    cursor, kind = plan.cursor.value(), lake_type(plan.cursor.type).duckdb
    low, high, nulls = session.execute(
        f"select min({cursor})::varchar, max({cursor})::varchar, "
        f"count(*) filter ({cursor} is null) from incoming"
    ).fetchall()[0]
    found = []
    if low is not None:
        bounds = (f"{literal(bound)}::{kind}" for bound in (low, high))
        found.append(f"{cursor} between {' and '.join(bounds)}")
    if nulls:
        found.append(f"{cursor} is null")
    return " or ".join(found) or "false"
