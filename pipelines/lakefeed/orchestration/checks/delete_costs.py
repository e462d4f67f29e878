"""What it would cost to find deleted rows, where a table ignores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.models.table_settings import ROW_VERSION
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.source.inspection.guarded import ask_of_all, bound_waits
from lakefeed.source.inspection.key_scans import KeyColumns, KeyScan, key_scans


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
    ignoring = {
        p.table.qualified: p
        for p in plans
        if p.table.catalogue and not p.table.sees_deletes and not p.table.appends
    }

    def scans(tables: Sequence[CatalogueTable]) -> Mapping[str, KeyScan | None]:
        found = key_scans(session, [_read_of(table, ignoring) for table in tables])
        return {table.qualified: found.get(table.qualified) for table in tables}

    bound_waits(session)
    tables = [plan.table.catalogue for plan in ignoring.values() if plan.table.catalogue]
    answers = ask_of_all(session, tables, scans)
    return [
        DeleteCost(plan.table.shown, scan.keys, scan.size, scan.in_index)
        for name, plan in ignoring.items()
        if isinstance(scan := answers[name], KeyScan)
    ]


def _read_of(table: CatalogueTable, plans: Mapping[str, TablePlan]) -> KeyColumns:
    """What comparing keys reads: an index holds neither row versions nor, surely, what `where`
    asks for."""
    plan = plans[table.qualified]
    settings = plan.table.settings
    columns = {*plan.key, *([plan.cursor.name] if plan.cursor else [ROW_VERSION])}
    if settings.where:
        columns |= {column.name for column in plan.columns}
    return KeyColumns(table, tuple(sorted(columns)), settings.only)
