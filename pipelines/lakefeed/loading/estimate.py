"""How much a load would read, as the source's planner estimates it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg2 import Error as PgError
from psycopg2.extensions import connection as PgConnection

from lakefeed.loading.extract.window import Window, condition_of
from lakefeed.loading.plan.queries import rows_query, size_query
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.source.connections.session_settings import look_up_first
from lakefeed.sql import literal

_LONGEST_LOCK_WAIT = "10s"


@dataclass(frozen=True)
class Estimate:
    """What a query would read, without having run it.

    Attributes:
        rows: how many rows.
        size: their bytes, as they cross the network.
        scans: whether the source reads a whole table for them, rather than by an index.
    """

    rows: int
    size: int
    scans: bool


def estimate_of(session: PgConnection, plan: TablePlan, window: Window) -> Estimate | None:
    """What the planner expects of the load of this window, by its statistics. Reads no row.

    None if it can't tell: the role may not read the table, or another session has locked it. Rows
    of `window.parts` aren't counted.

    Raises:
        psycopg2.Error: the connection was lost.
    """
    with session.cursor() as cursor:
        cursor.execute(f"savepoint estimating; set local lock_timeout = '{_LONGEST_LOCK_WAIT}'")
        try:
            if plan.table.query is not None:
                cursor.execute(look_up_first(plan.table.schema))
            cursor.execute(f"explain (format json) {rows_query(plan, _condition(plan, window))}")
            found = cursor.fetchall()
        except PgError as error:
            if error.pgcode is None:
                raise
            return None
        finally:
            if not session.closed:
                cursor.execute("rollback to savepoint estimating; release savepoint estimating")
    return _of(found[0][0][0]["Plan"])


def size_of(session: PgConnection, plan: TablePlan) -> int:
    """The bytes of a table with its partitions, at this moment.

    Raises:
        psycopg2.Error: the role may not look it up, or the connection was lost.
    """
    with session.cursor() as cursor:
        cursor.execute(size_query(plan))
        row = cursor.fetchone()
    assert row is not None
    return int(row[0])


def _of(top: Mapping[str, Any]) -> Estimate:
    rows = int(top["Plan Rows"])
    scans = any(node["Node Type"] == "Seq Scan" for node in _nodes(top))
    return Estimate(rows, rows * int(top["Plan Width"]), scans)


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
