"""What it costs the source to compare all keys of tables with raw, to find deleted rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.models.table_settings import ROW_VERSION
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.source.inspection.guarded import ask_of_all, bound_waits
from lakefeed.source.inspection.key_scans import KeyColumns, KeyScan, key_scans


def key_comparisons(session: PgConnection, plans: Sequence[TablePlan]) -> dict[str, KeyScan]:
    """What `deletes: remove` scans in every load of these tables, by lake name, where it is known.

    Side effect: limits how long statements of this transaction wait; a table that another session
    locks is left out.
    """
    asked = {plan.table.qualified: plan for plan in plans if plan.table.catalogue}

    def scans(tables: Sequence[CatalogueTable]) -> Mapping[str, KeyScan | None]:
        found = key_scans(session, [_read_of(table, asked) for table in tables])
        return {table.qualified: found.get(table.qualified) for table in tables}

    bound_waits(session)
    tables = [plan.table.catalogue for plan in asked.values() if plan.table.catalogue]
    answers = ask_of_all(session, tables, scans)
    return {
        plan.table.lake_name: scan
        for name, plan in asked.items()
        if isinstance(scan := answers[name], KeyScan)
    }


def _read_of(table: CatalogueTable, plans: Mapping[str, TablePlan]) -> KeyColumns:
    """What comparing keys reads: an index holds neither row versions nor, surely, what `where`
    asks for."""
    plan = plans[table.qualified]
    settings = plan.table.settings
    columns = {*plan.key, *([plan.cursor.name] if plan.cursor else [ROW_VERSION])}
    if settings.where:
        columns |= {column.name for column in plan.columns}
    return KeyColumns(table, tuple(sorted(columns)), settings.only)
