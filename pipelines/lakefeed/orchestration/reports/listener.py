"""Who hears of a run while it goes on."""

from __future__ import annotations

from typing import Protocol

from lakefeed.declaration.tables import Table
from lakefeed.orchestration.reports.run_report import TableReport


class Listener(Protocol):
    """Hears of each table as its load begins and ends, from several threads."""

    def started(self, table: Table) -> None: ...

    def ended(self, report: TableReport) -> None: ...

    def waits(self, why: str) -> None: ...


class Silence:
    """A listener that does nothing."""

    def started(self, table: Table) -> None:
        """Ignores it."""

    def ended(self, report: TableReport) -> None:
        """Ignores it."""

    def waits(self, why: str) -> None:
        """Ignores it."""
