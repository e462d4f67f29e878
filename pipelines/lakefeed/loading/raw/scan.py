"""The rows of loads: what their files hold, read as one relation.

Most files hold the rows of one load. One that a prune put together holds those of several, and a
prune that was killed may have left rows twice. So a row belongs to the load in its `_dlt_load_id`
only in a file which that load's description names; for dbt, the macro `rows_of` says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lakefeed.sql import file_literal, literal

LOAD_ID = "_dlt_load_id"

# The alias of rows in clauses that are given to others: a column may have any shorter name.
ROW = "_lakefeed_row"

# In the names of files that hold the rows of several loads.
_COMPACT = ".compact-"
_FILE = "_lakefeed_file"


@dataclass(frozen=True)
class Named:
    """A load, and the path of a file that its description names."""

    load_id: str
    path: str


def is_compact(file: str) -> bool:
    """Whether a file may hold rows of several loads."""
    return _COMPACT in file


def load_id_of(file: str) -> str:
    """The load in the name of a file of rows: of a compact file, the newest that it was made of."""
    return ".".join(file.rpartition("/")[2].split(".")[:2])


def new_name(file: str, unique: str, *, compact: bool) -> str:
    """Another name in the place of this file."""
    folder = file.rpartition("/")[0]
    mark = _COMPACT if compact else "."
    return f"{folder}/{load_id_of(file)}{mark}{unique}.parquet"


def rows_of(named: Sequence[Named], file_as: str = "") -> str:
    """The rows of loads in the files that they name, as a from-clause item; columns may differ.

    Args:
        file_as: give each row the path of its file, in a column of this name.
    """
    paths = dict.fromkeys(one.path for one in named)
    if not any(map(is_compact, paths)):
        return _read_parquet(paths, file_as)
    column = file_as or _FILE
    pairs = ", ".join(f"({literal(one.path)}, {literal(one.load_id)})" for one in named)
    told = "*" if file_as else f"* exclude ({column})"
    return (
        f"(select {told} from {_read_parquet(paths, column)} "
        f"semi join (values {pairs}) as named({column}, {LOAD_ID}) using ({column}, {LOAD_ID}))"
    )


def rows_in(path: str) -> str:
    """All rows of a file, whichever load they belong to, as a from-clause item."""
    return f"read_parquet({file_literal(path)}, hive_partitioning = false)"


def _read_parquet(paths: Iterable[str], file_as: str) -> str:
    listed = ", ".join(map(file_literal, paths))
    named = f", filename = {literal(file_as)}" if file_as else ""
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false{named})"
