"""Loading many tables takes at most 450 MB, wherever raw is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from lakefeed.orchestration.ingest.table_loads import usable_cores
from tests.conftest import Database, Lake
from tests.integration.test_workers import declare_many

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(usable_cores() == 1, reason="one core has no use for workers"),
]

# Libraries take 100 MB, less where other programs use them as well, so that only the rest is
# measured.
MOST_BYTES = 450e6 - 100e6
# With as many workers as on the machine for which it is promised.
LOAD = """
import os
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
from lakefeed.cli.main import main
main(["load"])
"""


def own_bytes(pid: int) -> int:
    """A process's share of the memory that is no file's; nothing once it has ended."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
        return sum(int(kb) * 1024 for kb in re.findall(r"^Pss_Anon:\s+(\d+) kB$", text, re.M))
    return 0


def peak_of(load: subprocess.Popen[bytes]) -> int:
    """The most that a load takes with all that it starts."""
    peak, started = 0, psutil.Process(load.pid)
    while load.poll() is None:
        with suppress(psutil.NoSuchProcess):
            processes = [started, *started.children(recursive=True)]
            peak = max(peak, sum(own_bytes(one.pid) for one in processes))
        time.sleep(0.05)
    return peak


@pytest.mark.on_store
def test_a_load_of_many_tables_takes_at_most_450_megabytes(database: Database, lake: Lake) -> None:
    many = declare_many(database, lake)
    load = subprocess.Popen([sys.executable, "-c", LOAD], cwd=many.root, env=os.environ.copy())

    peak = peak_of(load)

    assert load.returncode == 0
    assert 100e6 < peak < MOST_BYTES
