"""What a contender is: how it is started on some tables, and where its rows are afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.place import Place
from benchmarks.process import Command
from benchmarks.source import Source
from benchmarks.tables import Table


@dataclass(frozen=True)
class Job:
    """Tables of one source that are to be read into a folder, which is empty before."""

    source: Source
    tables: Sequence[Table]
    folder: Path
    place: Place


@dataclass(frozen=True)
class Copy:
    """Where a contender put a table: a from-clause item, and a DuckDB file known as `copies`."""

    relation: str
    attached: Path | None = None


@dataclass(frozen=True)
class Contender:
    """One way of reading PostgreSQL.

    `prepare` writes configuration, which isn't measured, and gives the command that is. `copy_of`
    is None for what keeps no rows. `version` may start the program. `remark` is told with each
    result. `limit_seconds` ends a run.
    """

    name: str
    prepare: Callable[[Job], Command]
    copy_of: Callable[[Job, Table], Copy] | None
    version: Callable[[Place], str]
    remark: str = ""
    limit_seconds: float = 300


def files_of(folder: Path, pattern: str = "*.parquet") -> Copy:
    """The Parquet files below a folder as one relation."""
    found = sorted(str(path) for path in folder.rglob(pattern))
    if not found:
        raise FileNotFoundError(f"no Parquet file below {folder.name}/")
    listed = ", ".join(f"'{one}'" for one in found)
    return Copy(f"read_parquet([{listed}], union_by_name = true)")
