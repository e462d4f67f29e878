"""Runs a program and waits for all processes that it leaves: `python reaper.py USAGE PROGRAM …`.

Processes that outlive whoever started them, such as those of a fork server, are nobody's children
and would be missing from the program's CPU time. As a subreaper (prctl(2)) this process becomes
their parent. It writes the CPU seconds of all of them to the file USAGE, and exits as the program
did.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def main(usage: str, *command: str) -> int:
    """Runs the command; its exit code."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl: can't become a subreaper")
    try:
        started = os.posix_spawnp(command[0], command, os.environ)
    except OSError as refused:
        sys.exit(f"can't be started: {refused.strerror}")
    code = 0
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            break
        if ended == started:
            code = os.waitstatus_to_exitcode(status)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    Path(usage).write_text(f"{used.ru_utime + used.ru_stime}", encoding="utf-8")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
