"""Tells a listener how far long reads are, by asking the source now and then.

Nothing is asked about short reads, and nothing in the run waits for an answer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

from lakefeed.loading.sessions.read_progress import TableRead
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.orchestration.reports.listener import Listener, LongRead
from lakefeed.source.connections.connection import session_name
from lakefeed.source.progress import Expected, Sent, expected_of, sent_by_sessions

_LOOK_SECONDS = 0.5
# A server that doesn't answer, or doesn't count, isn't asked for ever.
_MOST_REFUSALS = 3


@contextmanager
def followed(
    source: SourceAtSnapshot, listener: Listener, names: Mapping[str, str]
) -> Iterator[None]:
    """Tells the listener about long reads of this source within the block.

    Args:
        names: the tables' names in messages by their names in the lake.
    """
    if listener.reads_every is None:
        yield
        return
    done = Event()
    follower = _Follower(source, listener, names, listener.reads_every)
    thread = Thread(target=follower.follow, args=(done,), name="lakefeed-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


@dataclass
class _Follower:
    source: SourceAtSnapshot
    listener: Listener
    names: Mapping[str, str]
    every: float
    _expected: dict[tuple[str, float], Expected | None] = field(default_factory=dict)
    _rows: dict[tuple[str, float], int] = field(default_factory=dict)
    _bytes_per_row: dict[str, float] = field(default_factory=dict)
    _refusals: int = 0

    def follow(self, done: Event) -> None:
        """Looks for long reads until the run has read everything."""
        asked, told = 0.0, False
        while not done.wait(min(_LOOK_SECONDS, self.every)):
            reads = self.source.progress.longer_than(self.every)
            is_due = time.monotonic() - asked >= self.every
            if reads and is_due:
                asked = time.monotonic()
                found = self._asked(reads)
                if not done.is_set() and found:
                    self.listener.reading(found)
                    told = True
            elif told and not reads:
                self.listener.reading(())
                told = False

    def _asked(self, reads: list[TableRead]) -> list[LongRead]:
        # Before the server is asked, so that a statement that ends meanwhile isn't counted twice.
        done = [read.rows for read in reads]
        sent = self._sent()
        return [
            self._long_read(read, rows, sent or {})
            for read, rows in zip(reads, done, strict=True)
            if sent is not None or read.is_counted_here
        ]

    def _sent(self) -> Mapping[tuple[str, int], Sent] | None:
        """What the server counts; None if it doesn't tell. With one session, psycopg2 reads."""
        counts = self.source.snapshot.counts_copies and not self.source.is_alone
        if not counts or self._refusals >= _MOST_REFUSALS:
            return None
        sent = sent_by_sessions(self.source.connection)
        self._refusals = self._refusals + 1 if sent is None else 0
        return sent

    def _long_read(
        self, read: TableRead, done: int, sent: Mapping[tuple[str, int], Sent]
    ) -> LongRead:
        name = session_name(f"lakefeed {read.lake_name}")
        running = [one for (application, _), one in sent.items() if application == name]
        running.append(read.arrived())
        rows_running = sum(one.rows for one in running)
        begun = (read.lake_name, read.began)
        rows = self._rows[begun] = max(done + rows_running, self._rows.get(begun, 0))
        expected = self._expected_of(read)
        if size_running := sum(one.size for one in running):
            self._bytes_per_row[name] = size_running / max(rows_running, 1)
        elif expected:
            self._bytes_per_row.setdefault(name, expected.row_size)
        seconds = time.monotonic() - read.began
        size = round(rows * self._bytes_per_row.get(name, 0))
        total, come = expected.rows if expected else None, rows
        if read.size is not None:
            size = min(running[-1].size, read.size)
            total, come = read.size, size
        left = max(total - come, 0) if total is not None else None
        return LongRead(
            name=self.names.get(read.lake_name, read.lake_name),
            rows=rows,
            expected_rows=expected.rows if expected else None,
            size=size,
            seconds_left=left * seconds / come if left is not None and come else None,
            note=read.note,
            expected_size=read.size,
        )

    def _expected_of(self, read: TableRead) -> Expected | None:
        asked = (read.lake_name, read.began)
        if asked not in self._expected:
            connection, query = self.source.connection, read.query
            self._expected[asked] = expected_of(connection, query) if query else None
        return self._expected[asked]
