"""One run of one program, whole and from a cold start: how long it took and what it used."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PROC = Path("/proc")
_REAPER = Path(__file__).with_name("reaper.py")
_INTERVAL = 0.02
# Looking through all processes costs more than looking at a few.
_LOOKS_PER_SEARCH = 10
# Installed programs are compiled once. Where the environment forbids Python to keep what it has
# compiled, a program that runs from its sources would be compiled anew by each run.
_KEEPS_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# The line of an output that tells the reason; what dlt and others say below it is advice.
_TELLING = re.compile(r"caused an exception: |^[\w.]*(?:[Ee]rror|Invalid|Exception): ")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Command:
    """What to start, and where. `environment` is added to ours."""

    arguments: Sequence[str | Path]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """What a run used. `error` says how it failed; None where it ended well."""

    wall: float
    cpu: float
    peak_bytes: int
    output: str
    error: str | None = None


def run_measured(command: Command, limit_seconds: float) -> Usage:
    """Runs a program and all that it leaves behind to the end, and measures them together.

    Side effect: its output goes to `output.log` in its folder. The reaper that starts it adds some
    20 ms to the wall time of every contender.

    Args:
        limit_seconds: when to end it, which counts as a failure.
    """
    log, used = command.folder / "output.log", command.folder / "cpu-seconds"
    used.unlink(missing_ok=True)
    arguments = [sys.executable, "-S", _REAPER, used, *command.arguments]
    with log.open("wb") as output:
        began = time.perf_counter()
        try:
            process = subprocess.Popen(
                [str(argument) for argument in arguments],
                cwd=command.folder,
                env={**os.environ, **_KEEPS_BYTECODE, **command.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as refused:
            return Usage(0.0, 0.0, 0, "", f"can't be started: {refused.strerror}")
        memory = _Memory(process.pid)
        deadline = threading.Timer(limit_seconds, _end, [process.pid])
        deadline.start()
        memory.start()
        code = process.wait()
        wall = time.perf_counter() - began
    late = not deadline.is_alive()
    deadline.cancel()
    memory.stop()
    text = log.read_text(encoding="utf-8", errors="replace")
    error = failure(code, text, limit_seconds if late else None)
    cpu = float(used.read_text(encoding="utf-8")) if used.exists() else 0.0
    return Usage(wall, cpu, memory.peak, text, error)


def failure(code: int, output: str, limit_seconds: float | None) -> str | None:
    """What to tell of a program that ended so; None where it ended well."""
    if limit_seconds is not None:
        return f"not done after {limit_seconds:.0f} s"
    if code == 0:
        return None
    lines = [line.strip() for line in _COLOURS.sub("", output).splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line)] or lines or ["without a word"]
    return f"failed: {telling[-1].rpartition('caused an exception: ')[2][:160]}"


def _end(session: int) -> None:
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        pass


class _Memory(threading.Thread):
    """Watches the memory of all processes of a session; what several share counts once.

    A process's own `ru_maxrss` begins with what its parent had, so it can't tell small programs.
    """

    def __init__(self, session: int) -> None:
        super().__init__(daemon=True)
        self.session = session
        self.peak = 0
        self._done = threading.Event()

    def run(self) -> None:
        looks, found = 0, [self.session]
        while looks == 0 or not self._done.wait(_INTERVAL):
            if looks % _LOOKS_PER_SEARCH == 0:
                found = [pid for pid, stat in all_processes() if stat[3] == str(self.session)]
            looks += 1
            # Asking for shares takes a process a millisecond in which it can't allocate.
            memory_of = _resident if len(found) == 1 else _proportional
            self.peak = max(self.peak, sum(memory_of(pid) for pid in found))

    def stop(self) -> None:
        self._done.set()
        self.join()


def all_processes() -> Iterator[tuple[int, list[str]]]:
    """Each process with the fields of its `stat` that follow its name: state, parent, group, …"""
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            try:
                text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            yield int(folder.name), text.rpartition(")")[2].split()


def server_cpu(postmaster: int, but: int) -> float:
    """CPU seconds of a PostgreSQL server so far, less those of one session of ours.

    Sessions that ended are counted by the postmaster, which waited for them.
    """
    ticks = 0
    for pid, stat in all_processes():
        if pid == postmaster:
            ticks += sum(int(one) for one in stat[11:15])
        elif stat[1] == str(postmaster) and pid != but:
            ticks += int(stat[11]) + int(stat[12])
    return ticks / _TICKS


def _proportional(pid: int) -> int:
    """A process's share of the memory that it uses (`Pss` in proc(5))."""
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _resident(pid: int) -> int:
    try:
        pages = (_PROC / str(pid) / "statm").read_text(encoding="utf-8").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * _PAGE
