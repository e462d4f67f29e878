"""Where files of raw are read and written anew: an engine, and a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection
from fsspec.implementations.local import LocalFileSystem

from lakefeed.declaration.project import Project
from lakefeed.loading.extract.parquet_copy import PARQUET
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.sessions.duckdb_engine import engine_for, one_thread, spill_folder
from lakefeed.sql import literal


@dataclass(frozen=True)
class ScratchEngine:
    """The engine that reads files, and a folder for those in work."""

    engine: DuckDBPyConnection
    folder: Path

    def types_of(self, rows: str) -> dict[str, str]:
        """DuckDB's type of each column of a from-clause item, by its name."""
        described = self.engine.execute(f"describe from {rows}").fetchall()
        return {row[0]: row[1] for row in described}

    def write(self, rows: str, path: Path) -> None:
        """Writes the rows of a from-clause to a file, as loads do, in the order in which they come.

        So rows of one load lie together, and readers of a few loads can skip the rest. DuckDB
        bounds the bytes of a row group only where it needn't keep an order; one thread keeps it.
        """
        with one_thread(self.engine):
            self.engine.execute(f"copy (from {rows}) to {literal(str(path))} ({PARQUET})")

    def fetch(self, log: CommitLog, file: str) -> Path:
        """A file of raw to read: as it lies there, or a copy of what lies elsewhere."""
        if isinstance(log.filesystem, LocalFileSystem):
            return Path(f"{log.folder}/{file}")
        path = self.folder / f"raw-{file.replace('/', '-')}"
        if not path.exists():
            log.filesystem.get_file(f"{log.folder}/{file}", str(path))
        return path


@contextmanager
def open_scratch_engine(project: Project, name: str) -> Iterator[ScratchEngine]:
    """Its folder is empty at first, whatever was left there by a process that died; gone after."""
    folder = spill_folder(project) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with engine_for(project) as engine:
            yield ScratchEngine(engine, folder)
    finally:
        shutil.rmtree(folder)
