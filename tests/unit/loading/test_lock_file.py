"""The process that holds a lock is named, and never a wrong one."""

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


def test_the_holder_of_a_lock_file_is_named(path: Path) -> None:
    with file_lock(path):
        found = holder(path)

    assert found is not None
    assert (found.pid, found.host, found.where) == (os.getpid(), socket.gethostname(), "")


def test_a_holder_on_another_machine_is_named_with_its_host(path: Path) -> None:
    assert Process(7, "elsewhere", "2026-11-28 14:00:00 UTC").where == ", on elsewhere"


def test_the_record_of_the_holder_is_removed_with_the_lock(path: Path) -> None:
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
def test_an_invalid_or_outdated_record_names_no_holder(path: Path, note: str) -> None:
    path.parent.mkdir()
    path.with_suffix(".holder.json").write_text(note)
    with FileLock(path):
        assert holder(path) is None


def test_a_session_that_the_role_may_not_inspect_names_the_missing_privilege() -> None:
    assert str(Session(pid=7, run=None, host=None, port=None, since=None)) == (
        "session 7 in the source (this role needs pg_read_all_stats to see its origin and start)"
    )
