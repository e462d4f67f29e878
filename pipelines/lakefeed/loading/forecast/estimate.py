"""How much a load would read, as the source's planner estimates it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from psycopg2 import Error as PgError
from psycopg2.extensions import connection as PgConnection

from lakefeed.loading.extract.window import Window, condition_of
from lakefeed.loading.forecast.planned_load import Estimate
from lakefeed.loading.plan.queries import rows_query, size_query
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.ranges.ctid_ranges import TableSize
from lakefeed.source.connections.session_settings import look_up_first
from lakefeed.sql import literal

_LONGEST_LOCK_WAIT = "10s"


def estimate_of(
    session: PgConnection, plan: TablePlan, window: Window, left: str = "true"
) -> Estimate | None:
    """What the planner expects of the load of this window, by its statistics. Reads no row.

    None if it can't tell: the role may not read the table, or another session has locked it. Rows
    of `window.parts` aren't counted.

    Args:
        left: a condition for the rows that a first load in ranges hasn't read yet.

    Raises:
        psycopg2.Error: the connection was lost.
    """
    queries = [look_up_first(plan.table.schema)] if plan.table.query is not None else []
    rows = rows_query(plan, f"{_condition(plan, window)} and {left}")
    found = _briefly(session, *queries, f"explain (format json) {rows}")
    return _of(found[0][0]["Plan"]) if found else None


def size_of(session: PgConnection, plan: TablePlan) -> TableSize | None:
    """The size of a table with its partitions, at this moment.

    None if the role may not look it up, or another session has locked the table.

    Raises:
        psycopg2.Error: the connection was lost.
    """
    found = _briefly(session, size_query(plan))
    return TableSize(*found) if found else None


def _briefly(session: PgConnection, *statements: str) -> tuple[Any, ...] | None:
    """The first row that the last statement gives; None if it fails, or has to wait for long."""
    with session.cursor() as cursor:
        cursor.execute(f"savepoint estimating; set local lock_timeout = '{_LONGEST_LOCK_WAIT}'")
        try:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchone()
        except PgError as error:
            if error.pgcode is None:
                raise
            return None
        finally:
            if not session.closed:
                cursor.execute("rollback to savepoint estimating; release savepoint estimating")


def _of(top: Mapping[str, Any]) -> Estimate:
    rows = int(top["Plan Rows"])
    scans = any(node["Node Type"] == "Seq Scan" for node in _nodes(top))
    return Estimate(rows, rows * int(top["Plan Width"]), scans, float(top["Total Cost"]))


def _condition(plan: TablePlan, window: Window) -> str:
    if not window.is_backfill or plan.cursor is None:
        return condition_of(plan, window) or "true"
    bounds = ((">=", window.start), ("<", window.end))
    return " and ".join(
        f"{plan.cursor.value()} {sign} {literal(str(value))}::{plan.cursor.type}"
        for sign, value in bounds
        if value is not None
    )


def _nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from _nodes(below)
