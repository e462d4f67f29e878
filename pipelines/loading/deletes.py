"""Rows that have left the source: found by comparing keys at the snapshot, kept as tombstones.

A tombstone is the row's last version once more, with `_lakefeed_deleted` true. Only keys are held
in temporary tables, which DuckDB spills to disk: memory stays bounded however many rows there are.
"""

from __future__ import annotations

from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from pipelines.errors import Refused
from pipelines.loading.engine import source_query
from pipelines.loading.held import Held, columns_of
from pipelines.loading.plan import TablePlan
from pipelines.source.inspect import quote


@dataclass(frozen=True)
class Tombstones:
    """A query for the rows that have left the source, and how many were found now."""

    query: str
    rows: int


def find_deleted(
    session: DuckDBPyConnection,
    plan: TablePlan,
    keys_sql: str,
    held: Held,
    *,
    again: bool,
    allow_shrink: bool,
) -> Tombstones:
    """Compares the keys that raw holds with those that the source has at the snapshot.

    Side effect: leaves the temporary table `deleted_keys` in the session; the query reads it.

    Args:
        keys_sql: selects the key of every row that the source has.
        again: let the query bring the rows, too, that earlier loads found deleted.

    Raises:
        Refused: more rows are gone than `max_shrink` allows.
    """
    keys = ", ".join(quote(name) for name in plan.key)
    session.execute(f"create temp table held_keys as {held.keys(session, plan)}")
    session.execute(
        "create or replace temp table deleted_keys as select * from held_keys "
        f"anti join {source_query(keys_sql)} using ({keys})"
    )
    deleted, alive = session.execute(
        "select (select count(*) from deleted_keys where not gone), "
        "(select count(*) from held_keys where not gone)"
    ).fetchall()[0]
    session.execute("drop table held_keys")
    refuse_shrink(plan, alive, alive - deleted, allow_shrink=allow_shrink)
    columns = columns_of(plan, held.types(session))
    newest = f"(select *, {held.position} as position from {held.relation})"
    query = (
        f"select {columns} from {newest} semi join "
        f"(from deleted_keys where {'true' if again else 'not gone'}) using ({keys}, position)"
    )
    return Tombstones(query, int(deleted))


def refuse_shrink(plan: TablePlan, before: int, now: int, *, allow_shrink: bool) -> None:
    """An emptied table is more often a mistake than a fact.

    Raises:
        Refused: the table lost more than `max_shrink` of its rows.
    """
    allowed = plan.table.settings.max_shrink
    if allow_shrink or now >= before * (1 - allowed):
        return
    raise Refused(
        f"{plan.table.shown} had {before:,} rows and now has {now:,}: it lost "
        f"{(before - now) / before:.0%}, and `max_shrink` allows {allowed:.0%}",
        where=plan.table.where,
        do=f"if that is right: lakefeed run --select {plan.table.shown} --allow-shrink",
    )
