"""What runs are counted in where reading the source takes next to nothing."""

from __future__ import annotations

import sys

from benchmarks.place import Place
from benchmarks.process import Command
from benchmarks.rounds import Step

REFERENCE = "python -c 'import dlt'"


def reference(group: str, place: Place) -> Step:
    """The import of dlt: what a run with nothing to load must not need.

    It tells how fast this machine starts Python, which is what such runs are made of; the limit of
    a few thousand rows ends in milliseconds, so that ratios to it would be noise.
    """
    command = Command([sys.executable, "-c", "import dlt"], place.fresh("reference"))
    version = sys.version.split()[0]
    return Step(group, REFERENCE, version, lambda: command, None, base=True)
