"""What it would cost to find deleted rows, where a table ignores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

from lakefeed.loading.forecast.key_comparison import key_comparisons
from lakefeed.loading.plan.table_plan import TablePlan


@dataclass(frozen=True)
class DeleteCost:
    """What `deletes: remove` would scan on the source in every load of a table.

    Attributes:
        keys: the number of keys; None if the source has no statistics.
        size: bytes.
        in_index: an index is scanned instead of the table.
    """

    table: str
    keys: int | None
    size: int
    in_index: bool


def delete_costs(session: PgConnection, plans: Sequence[TablePlan]) -> list[DeleteCost]:
    """The cost for each table that could find deleted rows and doesn't, where its size is known.

    Side effect: limits how long statements of this transaction wait; a table that another session
    locks is left out.
    """
    ignoring = [p for p in plans if not p.table.sees_deletes and not p.table.appends]
    scans = key_comparisons(session, ignoring)
    return [
        DeleteCost(plan.table.shown, scan.keys, scan.size, scan.in_index)
        for plan in ignoring
        if (scan := scans.get(plan.table.lake_name))
    ]
