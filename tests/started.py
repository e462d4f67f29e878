"""Commands as processes, which tests watch, and send signals to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.conftest import Lake

_MOST_SECONDS = 60


@dataclass(frozen=True)
class Ended:
    """How a command ended, and how many seconds after it was told to."""

    code: int
    told: str
    seconds: float


@dataclass(frozen=True)
class Started:
    """A command that runs."""

    process: subprocess.Popen[str]

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def until(self, happens: Callable[[], object]) -> Started:
        """Waits, as long as the command runs, for something to happen."""
        limit = time.monotonic() + _MOST_SECONDS
        while self.runs and not happens():
            assert time.monotonic() < limit, "it didn't happen"
            time.sleep(0.02)
        assert self.runs, self.process.communicate()[0]
        return self

    def end_by(self, number: signal.Signals, *, times: int = 1) -> Ended:
        """Sends a signal, and waits for the end."""
        began = time.monotonic()
        for _ in range(times):
            self.process.send_signal(number)
            time.sleep(0.3)
        return self.ended(began)

    def ended(self, since: float | None = None) -> Ended:
        """Waits for the end."""
        began = time.monotonic() if since is None else since
        told = self.process.communicate(timeout=_MOST_SECONDS)[0]
        return Ended(self.process.returncode, told, time.monotonic() - began)


COMMAND = ("-m", "lakefeed.cli.main")


def start(
    lake: Lake, *arguments: str, command: tuple[str, ...] = COMMAND, **environment: str
) -> Started:
    """`lakefeed` in the project's folder, with both outputs in one."""
    return Started(
        subprocess.Popen(
            [sys.executable, *command, *arguments],
            cwd=lake.root,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    )
