"""Which tables a run is reading, and what tells how far it is. Costs nothing while reads are short.

The server counts the rows and bytes that a session has sent by COPY (source/progress.py); here is
what only the run knows: the statements that are done, what is to be read, and what arrives in other
ways.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from lakefeed.source.progress import Sent

# A statement of a session that counts itself what it receives.
Statement = tuple[int, int]


@dataclass
class TableRead:
    """A table that is being read.

    Attributes:
        query: the rows to be read, for an estimate; None if the planner can't estimate them.
        began: when reading began, by the monotonic clock.
        rows: those of the statements that are done.
        note: which part is being read; empty if the read has no parts.
        running: what arrived of the statements that the server doesn't count, and that aren't done.
        so_far: what arrived of the log; None for a table.
        size: how many bytes the log has; None for a table.
    """

    lake_name: str
    query: str | None
    began: float
    rows: int = 0
    note: str = ""
    running: dict[Statement, Sent] = field(default_factory=dict)
    so_far: Callable[[], Sent] | None = None
    size: int | None = None

    @property
    def is_counted_here(self) -> bool:
        """Whether anything is known of it that the server didn't tell."""
        return bool(self.running) or self.so_far is not None

    def arrived(self) -> Sent:
        """What the server doesn't count."""
        found = [*self.running.values(), *([self.so_far()] if self.so_far else [])]
        return Sent(sum(one.rows for one in found), sum(one.size for one in found))


class ReadProgress:
    """The tables that one run is reading from one source. Safe to use from several threads."""

    def __init__(self) -> None:
        self._reads: dict[str, TableRead] = {}
        self._lock = Lock()

    @contextmanager
    def reading(self, lake_name: str, query: str | None) -> Iterator[None]:
        """A table is read within the block. Within such a block of the same table: no effect."""
        if lake_name in self._reads:
            yield
            return
        self.begin(lake_name, query)
        try:
            yield
        finally:
            self.end(lake_name)

    def begin(self, lake_name: str, query: str | None) -> None:
        """Reading a table begins."""
        with self._lock:
            self._reads[lake_name] = TableRead(lake_name, query, time.monotonic())

    @contextmanager
    def reading_log(
        self, lake_name: str, note: str, so_far: Callable[[], Sent], size: int
    ) -> Iterator[None]:
        """The log is read within the block, for this table and others.

        Args:
            so_far: what has arrived of it; called from another thread.
            size: how many bytes it has.
        """
        self.begin(lake_name, None)
        with self._lock:
            read = self._reads[lake_name]
            read.note, read.so_far, read.size = note, so_far, size
        try:
            yield
        finally:
            self.end(lake_name)

    def received(self, lake_name: str, statement: Statement, sent: Sent | None) -> None:
        """What has arrived of a statement that the server doesn't count; None once it is over."""
        with self._lock:
            read = self._reads.get(lake_name)
            if read is None:
                return
            if sent is None:
                read.running.pop(statement, None)
            else:
                read.running[statement] = sent

    def end(self, lake_name: str) -> None:
        """The table is read, or has failed."""
        with self._lock:
            self._reads.pop(lake_name, None)

    def statement_done(self, lake_name: str, rows: int) -> None:
        """One of several statements is done."""
        with self._lock:
            if read := self._reads.get(lake_name):
                read.rows += rows

    def now_at(self, lake_name: str, note: str) -> None:
        """Another part of the table is being read."""
        with self._lock:
            if read := self._reads.get(lake_name):
                read.note = note

    def longer_than(self, seconds: float) -> list[TableRead]:
        """The reads that have taken longer."""
        since = time.monotonic() - seconds
        with self._lock:
            return [read for read in self._reads.values() if read.began < since]
