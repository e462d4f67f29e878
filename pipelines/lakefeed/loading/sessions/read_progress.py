"""Which tables a run is reading, and what tells how far it is. Costs nothing while reads are short.

The server counts the rows and bytes that a session has sent (source/progress.py); here is what only
the run knows: the statements that are done, and what is to be read.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock


@dataclass
class TableRead:
    """A table that is being read.

    Attributes:
        query: the rows to be read, for an estimate; None if the planner can't estimate them.
        began: when reading began, by the monotonic clock.
        rows: those of the statements that are done.
        note: which part is being read; empty if the read has no parts.
    """

    lake_name: str
    query: str | None
    began: float
    rows: int = 0
    note: str = ""


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
