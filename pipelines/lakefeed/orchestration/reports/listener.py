"""Listeners that follow a run while it is in progress."""

from __future__ import annotations

from typing import Protocol

from lakefeed.declaration.table import Table
from lakefeed.orchestration.reports.run_report import TableReport


class Listener(Protocol):
    """Is called, from several threads, when a table's load starts or ends and when a run waits."""

    def started(self, table: Table) -> None: ...

    def ended(self, report: TableReport) -> None: ...

    def waiting(self, why: str) -> None: ...


class Silence:
    """A listener that does nothing."""

    def started(self, table: Table) -> None:
        """Ignores it."""

    def ended(self, report: TableReport) -> None:
        """Ignores it."""

    def waiting(self, why: str) -> None:
        """Ignores it."""
