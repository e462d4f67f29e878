"""A DuckDB engine with a temporary folder, for rewriting files of raw."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection

from lakefeed.declaration.project import Project
from lakefeed.loading.extract.parquet_copy import PARQUET
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.sessions.duckdb_engine import engine_for, one_thread, spill_folder
from lakefeed.sql import literal


@dataclass(frozen=True)
class ScratchEngine:
    """A DuckDB engine, and a folder for temporary files."""

    engine: DuckDBPyConnection
    folder: Path

    def types_of(self, rows: str) -> dict[str, str]:
        """DuckDB's type of each column of a from-clause item, by name."""
        described = self.engine.execute(f"describe from {rows}").fetchall()
        return {row[0]: row[1] for row in described}

    def write(self, rows: str, path: Path) -> None:
        """Writes the rows of a from-clause to a file in their order, with the settings of loads.

        The order keeps the rows of a load together, so that readers of a few loads can skip the
        rest. DuckDB ignores `row_group_size_bytes` while it preserves the insertion order
        (https://duckdb.org/docs/stable/data/parquet/tips), so the order is kept by one thread
        instead.
        """
        with one_thread(self.engine):
            self.engine.execute(f"copy (from {rows}) to {literal(str(path))} ({PARQUET})")

    def fetch(self, log: CommitLog, file: str) -> Path:
        """The local path of a file of raw, which is downloaded if raw isn't local."""
        if log.raw.is_local:
            return Path(f"{log.folder}/{file}")
        path = self.folder / f"raw-{file.replace('/', '-')}"
        if not path.exists():
            log.filesystem.get_file(f"{log.folder}/{file}", str(path))
        return path


@contextmanager
def open_scratch_engine(project: Project, name: str) -> Iterator[ScratchEngine]:
    """Opens an engine with an empty folder, which is removed at the end.

    Side effect: removes the remains of a process that died.
    """
    folder = spill_folder(project) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with engine_for(project) as engine:
            yield ScratchEngine(engine, folder)
    finally:
        shutil.rmtree(folder)
