"""A folder for each DuckDB instance that spills.

Instances that share a `temp_directory` write to the same files (DuckDB 1.5): their statements fail,
never end, or read each other's rows (tests/integration/test_spill.py).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

_numbers = count(1)
_NAME = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-\d+")
# Versions before 0.3 had all instances spill to one folder.
_SHARED = "duckdb_temp_"
# No statement takes as long, so it is of a machine that is gone, such as a container.
_ABANDONED_SECONDS = 7 * 24 * 3600


def own_folder(spill: Path) -> Path:
    """The path of a folder that nobody else uses; it isn't created."""
    return spill / f"{_machine()}-{os.getpid()}-{next(_numbers)}"


def remove_left_behind(spill: Path) -> None:
    """Removes what processes left that were killed while they spilled."""
    with suppress(OSError):
        for path in list(spill.iterdir()):
            if path.name.startswith(_SHARED):
                path.unlink(missing_ok=True)
            elif _is_left_behind(path):
                shutil.rmtree(path, ignore_errors=True)


def _is_left_behind(folder: Path) -> bool:
    name = _NAME.fullmatch(folder.name)
    if name is None:
        return False
    if name["host"] == _machine():
        return not _runs(int(name["pid"]))
    return time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS


def _machine() -> str:
    """What process IDs are unique in. Containers on the network of their host have its name."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname()}-{namespace}"


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        # It belongs to someone else.
        return True
    return True
