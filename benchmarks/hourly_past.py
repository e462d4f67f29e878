"""Makes the past of a lake for the case `hourly`: `python -m benchmarks.hourly_past PROJECT RUNS`.

Each run is real: rows change, they are loaded, and every tenth time dbt builds and publishes.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.lakefeed import VARIABLE
from benchmarks.source import Source
from benchmarks.tables import CURSOR
from lakefeed.declaration.project import open_project
from lakefeed.orchestration.ingest.load import load
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.run import run

RUNS_A_BUILD = 10


def main(root: Path, runs: int) -> None:
    """Makes the runs, the last of them with dbt."""
    source = Source(os.environ[VARIABLE], 0)
    names = [table.name for table in open_project(root).tables]
    for number in range(1, runs + 1):
        source.execute(*(change(name, number) for name in names))
        project, request = open_project(root), LoadRequest()
        builds = number % RUNS_A_BUILD == 0
        report = run(project, request) if builds else load(project, request)[1]
        if report.exit_code:
            raise RuntimeError(f"run {number} failed: {report}")


def change(table: str, number: int) -> str:
    """The statement that changes ten rows of a table, an hour after the run before."""
    first = number * 10 % 1_000
    return (
        f"update {table} set note = 'run {number}', {CURSOR} = "
        f"timestamptz '2025-01-01 00:00Z' + {number} * interval '1 h' "
        f"where id > {first} and id <= {first + 10}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
