"""What a load is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.declaration.table import Table
from lakefeed.loading.load_result import LoadOptions
from lakefeed.loading.plan.backfill import parse_range, range_of_table
from lakefeed.loading.plan.table_plan import TablePlan


@dataclass(frozen=True)
class LoadRequest:
    """Which tables to load, and how. `since` and `until` bound a backfill, as typed."""

    select: tuple[str, ...] = ()
    full_refresh: bool = False
    since: str | None = None
    until: str | None = None
    allow_shrink: bool = False

    def covers(self, table: Table) -> bool:
        """Whether it loads this table without `--select`: a backfill needs a cursor."""
        return bool(table.cursor) or not self.since

    def options_for(self, plan: TablePlan) -> LoadOptions:
        """The options of one table's load.

        Raises:
            DeclarationError: the range isn't one of the table's cursor.
        """
        backfill = range_of_table(plan, parse_range(self.since, self.until))
        return LoadOptions(self.full_refresh, backfill, self.allow_shrink)
