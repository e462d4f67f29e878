"""Runs `lakefeed` as a subprocess, and kills it at random."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_KILLED = 0.6
_SHORTEST_LIFE_SECONDS, _LONGEST_LIFE_SECONDS = 0.3, 4.0
_COMMAND = (sys.executable, "-m", "lakefeed.cli.main")


def lakefeed(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `lakefeed` in the project at `root` and waits for it."""
    return subprocess.run(
        [*_COMMAND, *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def lakefeed_perhaps_killed(root: Path, choose: random.Random, *arguments: str) -> bool:
    """Runs `lakefeed`, and perhaps kills it at a random moment; returns whether it was killed."""
    process = subprocess.Popen(
        [*_COMMAND, *arguments],
        cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        if choose.random() < _KILLED:
            time.sleep(choose.uniform(_SHORTEST_LIFE_SECONDS, _LONGEST_LIFE_SECONDS))
            _kill(process)
        process.wait()
    except BaseException:
        # Ctrl-C doesn't reach the subprocess, which has its own session.
        _kill(process)
        raise
    return process.returncode == -signal.SIGKILL


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
