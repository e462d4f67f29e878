"""Lakefeed as its users start it: a fresh process in a project's folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contender import Contender, Copy, Job, files_of
from benchmarks.place import REPOSITORY, Place
from benchmarks.process import Command
from benchmarks.source import Source
from benchmarks.tables import CURSOR, Table
from lakefeed import __version__
from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.orchestration.project.scaffold import write_scaffold

VARIABLE = "LAKEFEED_BENCH_URL"
# What `lakefeed init` proposes for a table with a timestamp that moves.
BY_CURSOR = f"cursor: {CURSOR}, lookback: 30m"
BY_LOG = "cursor: wal"


def declare(
    root: Path, tables: Sequence[Table], *, history: bool = False, defaults: str = BY_CURSOR
) -> None:
    """Makes a project that declares these tables, as `lakefeed init` would."""
    write_scaffold(root)
    defaults = f"{{{defaults}, history: true}}" if history else f"{{{defaults}}}"
    names = "".join(f"      {table.name}:\n" for table in tables)
    (root / DECLARATION_FILE).write_text(
        f"version: 1\nsources:\n  bench:\n    connection: ${{{VARIABLE}}}\n"
        f"    defaults: {defaults}\n    tables:\n{names}",
        encoding="utf-8",
    )


def lakefeed(root: Path, source: Source, *arguments: str) -> Command:
    """The command of a user, with the interpreter and the code of this repository."""
    return Command(
        [sys.executable, "-m", "lakefeed.cli.main", *arguments],
        root,
        {VARIABLE: source.url, "PYTHONPATH": f"{REPOSITORY}/pipelines:{REPOSITORY}"},
    )


def _prepare(job: Job) -> Command:
    declare(job.folder / "project", job.tables)
    return lakefeed(job.folder / "project", job.source, "load")


def raw_of(root: Path, table: Table) -> Copy:
    """The raw files of a table, in a lake where nothing was killed."""
    return files_of(root / "data" / "raw" / f"bench__{table.name}" / table.name)


def _copy_of(job: Job, table: Table) -> Copy:
    return raw_of(job.folder / "project", table)


def _version(_place: Place) -> str:
    return __version__


LAKEFEED = Contender("Lakefeed", _prepare, _copy_of, _version)
