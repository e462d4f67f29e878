"""Listeners that follow a run while it is in progress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from lakefeed.declaration.table import Table
from lakefeed.orchestration.reports.run_report import TableReport


@dataclass(frozen=True)
class LongRead:
    """How far a read is that takes long.

    Attributes:
        name: the table, such as `shop.orders`; of several that wait for the log, one.
        rows: those that the source has sent.
        expected_rows: how many the planner expects; None if it can't tell.
        size: about how many bytes the source has sent.
        seconds_left: an estimate; None if there is nothing to estimate it from.
        note: which part is being read; empty if the read has no parts.
        expected_size: how many bytes the source has to send; None if only rows are expected.
    """

    name: str
    rows: int
    expected_rows: int | None
    size: int
    seconds_left: float | None
    note: str = ""
    expected_size: int | None = None


class Listener(Protocol):
    """Is called, from several threads, when a table's load starts or ends and when a run waits.

    `reads_every`: how often it is told how far long reads are, in seconds; None for never.
    """

    @property
    def reads_every(self) -> float | None: ...

    def started(self, table: Table) -> None: ...

    def reading(self, reads: Sequence[LongRead]) -> None: ...

    def ended(self, report: TableReport) -> None: ...

    def waiting(self, why: str) -> None: ...


class Silence:
    """A listener that does nothing."""

    reads_every: float | None = None

    def started(self, table: Table) -> None:
        """Ignores it."""

    def reading(self, reads: Sequence[LongRead]) -> None:
        """Ignores it."""

    def ended(self, report: TableReport) -> None:
        """Ignores it."""

    def waiting(self, why: str) -> None:
        """Ignores it."""
