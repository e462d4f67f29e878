"""A file of rows written anew with a part of its rows, and put in the place of the old one.

A committed file is never changed: the new one has a name of its own, is written whole, and counts
from the moment at which the load's description names it. The old one goes after that.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection
from fsspec.implementations.local import LocalFileSystem

from pipelines.loading.commits import CommitLog
from pipelines.loading.copying import PARQUET
from pipelines.loading.engine import literal
from pipelines.textfile import to_disk

_FILE_ID = re.compile(r"\.[^./]+\.parquet$")


@dataclass(frozen=True)
class LocalCopy:
    """A file of raw where this machine's DuckDB can read it."""

    engine: DuckDBPyConnection
    path: Path

    @property
    def rows(self) -> str:
        """All rows, as a from-clause item."""
        return f"read_parquet({literal(str(self.path))}, hive_partitioning = false)"

    def types(self) -> dict[str, str]:
        """DuckDB's type of each column, by its name."""
        described = self.engine.execute(f"describe from {self.rows}").fetchall()
        return {row[0]: row[1] for row in described}

    def count(self, condition: str) -> int:
        """How many rows meet a condition."""
        found = self.engine.execute(f"select count(*) from {self.rows} where {condition}")
        return int(found.fetchall()[0][0])

    def write_without(self, condition: str, path: Path) -> None:
        """Writes the rows that don't meet a condition, with the same columns and types."""
        kept = f"from {self.rows} where not coalesce({condition}, false)"
        self.engine.execute(f"copy ({kept}) to {literal(str(path))} ({PARQUET})")


def fetch(log: CommitLog, file: str, engine: DuckDBPyConnection, folder: Path) -> LocalCopy:
    """A file of raw to read: as it lies there, or a copy in this folder of what lies elsewhere."""
    if isinstance(log.filesystem, LocalFileSystem):
        return LocalCopy(engine, Path(f"{log.folder}/{file}"))
    path = folder / f"{uuid.uuid4().hex}.parquet"
    log.filesystem.get_file(f"{log.folder}/{file}", str(path))
    return LocalCopy(engine, path)


def new_name(file: str) -> str:
    """Another name for what is made of a file: of the same load, in the same folder."""
    return _FILE_ID.sub(f".{uuid.uuid4().hex[:10]}.parquet", file)


def put(log: CommitLog, path: Path, file: str) -> None:
    """Puts a whole file into raw under this name; there is never half of it."""
    target = f"{log.folder}/{file}"
    log.filesystem.put_file(str(path), f"{target}.part")
    if isinstance(log.filesystem, LocalFileSystem):
        to_disk(Path(f"{target}.part"))
    log.filesystem.mv(f"{target}.part", target)
