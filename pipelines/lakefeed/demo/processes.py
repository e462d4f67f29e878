"""Starts processes and stops them together, including all of their descendants."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import psutil

from lakefeed.errors import LakefeedError

# Airflow's scheduler would wait for its tasks, but tasks that are killed can be run again.
_PATIENCE_SECONDS = 5.0
_LAST_LINES = 20
_SET_PARENT_DEATH_SIGNAL = 1


class Processes:
    """Commands that run until they are stopped, each with its own log and its own session.

    On Linux they also end with the thread that started them, and so with its process.

    All descendants of a command stay in its session, even if their parents have exited: Airflow's
    scheduler forks executors, these fork supervisors, and these fork tasks in new process groups.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        self._folder = folder
        self._logs = logs
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def log_of(self, name: str) -> Path:
        """The log file of a process."""
        return self._logs / f"{name}.log"

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts a command in the folder, and truncates its log."""
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log_of(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                command,
                cwd=self._folder, env=environment, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
                # Safe beside threads: it is one call of the kernel's, and takes no lock.
                preexec_fn=_end_with_parent(),  # noqa: PLW1509
            )  # fmt: skip

    def finish(self, name: str) -> None:
        """Waits until a command exits.

        Raises:
            LakefeedError: it failed; with the last lines of its log.
        """
        code = self._running[name].wait()
        if code != 0:
            raise self._failure(name, code)
        del self._running[name]

    def check(self) -> None:
        """Checks that all commands are running.

        Raises:
            LakefeedError: one has exited; with the last lines of its log.
        """
        for name, process in self._running.items():
            code = process.poll()
            if code is not None:
                raise self._failure(name, code)

    def written(self) -> int:
        """How many bytes the logs of all commands have."""
        return sum(self.log_of(name).stat().st_size for name in self._running)

    def is_running(self, name: str) -> bool:
        """Whether a command was started, and neither has exited nor was killed."""
        return name in self._running and self._running[name].poll() is None

    def below(self, name: str) -> list[psutil.Process]:
        """The processes that a command has started, and those that these have."""
        found: list[psutil.Process] = psutil.Process(self._running[name].pid).children(True)
        return found

    def kill(self, name: str) -> None:
        """Kills a command and all processes in its session; returns when none is left."""
        process = self._running.pop(name)
        process.kill()
        _kill_sessions({process.pid})
        process.wait()

    def stop(self) -> None:
        """Stops all commands and all processes in their sessions; returns when none is left."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for process in self._running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        _kill_sessions({process.pid for process in self._running.values()})
        for process in self._running.values():
            process.wait()
        self._running.clear()

    def _failure(self, name: str, code: int) -> LakefeedError:
        log = self.log_of(name)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        killed = code < 0
        how = (
            f"was killed by {signal.Signals(-code).name}" if killed else f"exited with code {code}"
        )
        return LakefeedError(
            "\n".join([f"{name} {how}; its last output:", *(f"  │ {line}" for line in lines)]),
            do=f"the full log is in {log}",
        )


@contextmanager
def processes(folder: Path, logs: Path) -> Iterator[Processes]:
    """Processes that are stopped when the block ends, even if it raises."""
    started = Processes(folder, logs)
    try:
        yield started
    finally:
        started.stop()


def _end_with_parent() -> Callable[[], object] | None:
    """What a new process does first so that it ends with this one, even if this one is killed.

    Only Linux can do it (https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html).
    """
    if sys.platform != "linux":
        return None
    return partial(ctypes.CDLL(None).prctl, _SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


def _kill_sessions(sessions: set[int]) -> None:
    while members := list(_members_of(sessions)):
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        time.sleep(0.05)


def _members_of(sessions: set[int]) -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, PermissionError):
            ended = process.info["status"] == psutil.STATUS_ZOMBIE
            if os.getsid(process.pid) in sessions and not ended:
                yield process
