"""Who has a lock is known as long as that is true."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest
from filelock import FileLock

from lakefeed.loading.locks.lock_file import Busy, Process, file_lock
from lakefeed.loading.locks.lock_holder import Session

NOBODYS_PID = 2**22 + 1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "locks" / "shop__t.lock"


def holder(path: Path) -> Process | None:
    with pytest.raises(Busy) as refused, file_lock(path):
        pass
    return refused.value.holder


def test_whoever_has_it_is_named(path: Path) -> None:
    with file_lock(path):
        told = holder(path)

    assert told is not None
    assert (told.pid, told.host, told.where) == (os.getpid(), socket.gethostname(), "")


def test_of_another_machine_it_is_said_where(path: Path) -> None:
    assert Process(7, "elsewhere", "2026-11-28 14:00:00 UTC").where == ", on elsewhere"


def test_a_note_is_gone_with_the_lock_and_lets_others_in(path: Path) -> None:
    for _ in range(2):
        with file_lock(path):
            assert list(path.parent.glob("*.json"))
    assert list(path.parent.glob("*.json")) == []


@pytest.mark.parametrize(
    "note",
    [
        "",
        "{",
        "{}",
        json.dumps({"pid": NOBODYS_PID, "host": socket.gethostname(), "since": "2026"}),
    ],
    ids=["empty", "half", "strange", "of one that is dead"],
)
def test_nobody_is_named_by_a_note_that_was_left(path: Path, note: str) -> None:
    path.parent.mkdir()
    path.with_suffix(".holder.json").write_text(note)
    with FileLock(path):
        assert holder(path) is None


def test_a_role_that_may_not_see_other_sessions_says_so() -> None:
    assert str(Session(7, None, None, None, None)) == (
        "session 7 in the source (this role needs pg_read_all_stats to see its origin and start)"
    )
