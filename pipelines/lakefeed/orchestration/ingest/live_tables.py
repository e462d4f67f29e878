"""The tables of a source as they are now, and the plans of their loads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError
from lakefeed.loading.plan.column_check import hash_keys
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.orchestration.ingest.frozen_tables import refuse_frozen
from lakefeed.orchestration.project.catalogue_sync import LiveSource
from lakefeed.orchestration.project.drift import table_drift
from lakefeed.transformation.generate.data_test_validation import refuse_unfit_tests


@dataclass(frozen=True)
class LiveTables:
    """The declared tables of one source as they are now.

    Attributes:
        project: with the catalogue as it was before this run.
        source: the name of the source.
        live: what the source has now.
        tables: these tables, including new matches of wildcards, and those of all other sources.
    """

    project: Project
    source: str
    live: LiveSource
    tables: tuple[Table, ...] = field(init=False)

    def __post_init__(self) -> None:
        catalogue = self.project.catalogue.with_tables(self.source, self.live.tables)
        object.__setattr__(self, "tables", self.project.with_catalogue(catalogue).tables)

    def of_source(self) -> list[Table]:
        """All declared tables of the source."""
        return [table for table in self.tables if table.source == self.source]

    def active(self) -> list[Table]:
        """The declared tables of the source that aren't paused."""
        return [table for table in self.of_source() if not table.is_paused]

    def current(self, wanted: Sequence[Table]) -> list[Table]:
        """The wanted tables as they are now.

        A dropped table that matched a wildcard was selected by name, so it fails by name.
        """
        found = {table.lake_name: table for table in self.of_source()}
        return [found.get(table.lake_name, table) for table in wanted]

    def plan(self, table: Table) -> TablePlan:
        """Plans the load of a table.

        Raises:
            TableFailed: the table is missing, frozen and changed, or not as declared, its tests
                name unknown tables or columns, or the key of a hash isn't set.
        """
        refuse_frozen(self.project, table, self.live)
        refuse_unfit_tests(self.project.declared, table, self.tables)
        return self.live.plan(table, hash_keys(self.project, table))

    def drift_of(self, table: Table) -> list[str]:
        """What changed in a table since the catalogue was written; nothing of a new one."""
        before = self.project.catalogue.table(self.source, table.qualified)
        now = self.live.tables.get(table.qualified)
        return list(table_drift(before, now)) if before and now else []

    def plans_by_log(self, tables: Sequence[Table]) -> list[TablePlan]:
        """The plans of those tables that are read by the log and can be; the others will fail."""
        plans = []
        for table in tables:
            if table.reads_log:
                with suppress(LakefeedError):
                    plans.append(self.plan(table))
        return plans
