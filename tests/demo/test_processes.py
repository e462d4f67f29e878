"""Processes that are stopped together, including all of their descendants."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lakefeed.demo.processes import processes
from lakefeed.errors import LakefeedError

# Leaves a child in a group of its own that doesn't end when asked to, and a grandchild.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork() == 0:
        os.setpgid(0, 0)
os.write(1, f'{os.getpid()}\\n'.encode())
time.sleep(600)
"""

# Runs a process until its own input ends.
PARENT = """
import os, sys
from pathlib import Path
from lakefeed.demo.processes import processes
folder = Path(sys.argv[1])
with processes(folder, folder / 'logs') as started:
    started.start('child', [sys.executable, '-c', sys.argv[2]], os.environ)
    sys.stdin.read()
"""


def eventually_wrote(log: Path, lines: int) -> list[str]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if log.exists() and len(told := log.read_text().splitlines()) >= lines:
            return told
        time.sleep(0.05)
    raise AssertionError("it wrote nothing")


def test_children_that_ignore_sigterm_are_killed(tmp_path: Path) -> None:
    with processes(tmp_path, tmp_path / "logs") as started:
        started.start("stubborn", [sys.executable, "-c", STUBBORN], os.environ)
        pids = [int(line) for line in eventually_wrote(started.log_of("stubborn"), 4)]
        started.check()

    alive = [pid for pid in pids if psutil.pid_exists(pid)]
    assert [p for p in alive if psutil.Process(p).status() != psutil.STATUS_ZOMBIE] == []


def test_a_process_that_exits_early_is_named_with_its_last_output(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('first'); raise SystemExit('no room')"]
    with processes(tmp_path, tmp_path / "logs") as started:
        started.start("server", command, os.environ)
        eventually_wrote(started.log_of("server"), 2)

        with pytest.raises(
            LakefeedError, match="server exited with code 1; its last output:"
        ) as told:
            started.finish("server")
        with pytest.raises(LakefeedError):
            started.check()

    assert "│ no room" in str(told.value)
    assert str(tmp_path / "logs" / "server.log") in str(told.value)


def test_a_killed_process_is_named_with_the_signal(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    with processes(tmp_path, tmp_path / "logs") as started:
        started.start("server", command, os.environ)

        with pytest.raises(LakefeedError, match="killed by SIGKILL"):
            started.finish("server")


def test_a_process_that_has_finished_is_not_reported(tmp_path: Path) -> None:
    with processes(tmp_path, tmp_path / "logs") as started:
        started.start("secrets", [sys.executable, "-c", ""], os.environ)
        started.finish("secrets")

        started.check()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_process_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    # Waits for a signal alone, so that nothing but its parent's death can end it.
    child = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
    command = [sys.executable, "-c", PARENT, str(tmp_path), child]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as parent:
        (pid,) = eventually_wrote(tmp_path / "logs" / "child.log", 1)
        left = psutil.Process(int(pid))

        parent.kill()

        try:
            left.wait(timeout=20)
        finally:
            if left.is_running():
                left.kill()
