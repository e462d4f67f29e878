"""A lock file that is released when its process dies, and a record of that process."""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lakefeed.documents import Format
from lakefeed.errors import NewerFormat
from lakefeed.textfile import replace_text


@dataclass(frozen=True)
class Process:
    """A process that holds a lock file; `since` is a time in readable form."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def where(self) -> str:
        """The host to end it on, as ", on <host>"; empty if it is this host."""
        return "" if self.host == socket.gethostname() else f", on {self.host}"


HOLDER = Format(Process, "lock holder record")


class Busy(Exception):
    """Another process holds the lock file; `holder` is None if it is unknown."""

    def __init__(self, holder: Process | None) -> None:
        super().__init__(str(holder))
        self.holder = holder


@contextmanager
def file_lock(path: Path, *, timeout: float = 0) -> Iterator[None]:
    """Holds a lock file within the block, and records its holder in a file beside it.

    Args:
        timeout: seconds to wait for it.

    Raises:
        Busy: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    record = path.with_suffix(".holder.json")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise Busy(_holder_in(record)) from None
    try:
        since = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
        process = Process(os.getpid(), socket.gethostname(), since)
        replace_text(record, HOLDER.text(process), durable=False)
        yield
    finally:
        record.unlink(missing_ok=True)
        lock.release()


def holder_of(path: Path) -> Process | None:
    """The process that holds a lock file; None if nobody does, as far as can be told."""
    record = path.with_suffix(".holder.json")
    # Only where there is a record: to try a lock is to hold it for a moment.
    return None if not record.exists() or is_unlocked(path) else _holder_in(record)


def is_unlocked(path: Path) -> bool:
    """Whether no process holds a lock file."""
    try:
        with FileLock(path, timeout=0):
            return True
    except Timeout:
        return False


def _holder_in(record: Path) -> Process | None:
    """The recorded holder; None if the record is missing or of a process that is dead."""
    try:
        found = HOLDER.read(record.read_text(encoding="utf-8"), str(record))
        if found.host == socket.gethostname():
            os.kill(found.pid, 0)
    except PermissionError:
        return found
    except (OSError, ValueError, NewerFormat):
        return None
    return found
