"""A lock file, which dies with its holder, and who that is."""

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
    """A process that has a lock file; since when, as people read it."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"

    @property
    def where(self) -> str:
        """Where it can be ended, if that isn't here."""
        return "" if self.host == socket.gethostname() else f", on {self.host}"


HOLDER = Format(Process, "note of who has a lock")


class Busy(Exception):
    """Another process has a lock file; which one is None where it didn't say."""

    def __init__(self, holder: Process | None) -> None:
        super().__init__(str(holder))
        self.holder = holder


@contextmanager
def file_lock(path: Path, *, timeout: float = 0) -> Iterator[None]:
    """A lock file, which dies with its holder, and a note beside it of who that is.

    Args:
        timeout: seconds to wait for it.

    Raises:
        Busy: another process has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    note = path.with_suffix(".holder.json")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise Busy(_read(note)) from None
    try:
        since = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
        replace_text(note, HOLDER.text(Process(os.getpid(), socket.gethostname(), since)))
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _read(note: Path) -> Process | None:
    """Who wrote the note; None where that isn't who has the lock, or there is none yet."""
    try:
        found = HOLDER.read(note.read_text(encoding="utf-8"), str(note))
        if found.host == socket.gethostname():
            os.kill(found.pid, 0)
    except PermissionError:
        return found
    except (OSError, ValueError, NewerFormat):
        return None
    return found
