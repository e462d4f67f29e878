"""Reads the rows of loads as one relation.

Most files contain the rows of one load. A compacted file contains rows of several loads, and an
interrupted prune may leave rows in two files. So a row counts for the load in its `_dlt_load_id`
only in files that the load's manifest names. In dbt, the macro `rows_of` follows the same rule.

A load from the log has several versions of a row, in the order of their commits' LSNs, then of
their places within a transaction. A load that was read from the table has one version of each row,
and nulls there. In dbt, the macros in `changes_of_log.sql` follow the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lakefeed.loading.plan.column_names import DELETED_AT, WAL_COLUMNS, WAL_LSN, WAL_POSITION
from lakefeed.sql import file_literal, literal

LOAD_ID = "_dlt_load_id"

# The alias of rows in clauses passed between modules, unlikely to be the name of a column.
ROW = "_lakefeed_row"

# Marks the names of files with rows of several loads.
_COMPACT = ".compact-"
_FILE = "_lakefeed_file"
# LSNs and places begin at 1. As wide as they are in files.
_READ = "0::bigint"


@dataclass(frozen=True)
class Named:
    """A load, and the path of a file that its manifest names."""

    load_id: str
    path: str


def is_compact(file: str) -> bool:
    """Whether a file may contain rows of several loads."""
    return _COMPACT in file


def load_id_of(file: str) -> str:
    """The load id in the name of a data file; for a compacted file, that of its latest load."""
    return ".".join(file.rpartition("/")[2].split(".")[:2])


def new_name(file: str, unique: str, *, compact: bool) -> str:
    """A name for a new file that replaces this one."""
    folder = file.rpartition("/")[0]
    mark = _COMPACT if compact else "."
    return f"{folder}/{load_id_of(file)}{mark}{unique}.parquet"


def rows_of(named: Sequence[Named], file_as: str = "") -> str:
    """A from-clause item for the rows of loads in the files that they name; columns may differ.

    Args:
        file_as: the name of an additional column with the path of each row's file.
    """
    paths = dict.fromkeys(file.path for file in named)
    if not any(map(is_compact, paths)):
        return _read_parquet(paths, file_as)
    column = file_as or _FILE
    pairs = ", ".join(f"({literal(file.path)}, {literal(file.load_id)})" for file in named)
    selected = "*" if file_as else f"* exclude ({column})"
    return (
        f"(select {selected} from {_read_parquet(paths, column)} "
        f"semi join (values {pairs}) as named({column}, {LOAD_ID}) using ({column}, {LOAD_ID}))"
    )


def rows_in(path: str) -> str:
    """A from-clause item for all rows of a file, of whichever load."""
    return f"read_parquet({file_literal(path)}, hive_partitioning = false)"


def has_changes(types: Mapping[str, str]) -> bool:
    """Whether files with columns of these types may have several versions of a row in one load."""
    return all(types.get(name, "").lower() == kind for name, kind in WAL_COLUMNS.items())


def change_of(types: Mapping[str, str], relation: str = "") -> str:
    """An expression for the change that wrote a row, by which the versions in one load are ordered.

    It is the same for all rows of files without a log. An update of a key to one that equals it is
    a delete and an insert at the same place, and the row is there.
    """
    at = f"{relation}." if relation else ""
    lsn, place = (
        f"coalesce({at}{name}, {_READ})" if has_changes(types) else _READ
        for name in (WAL_LSN, WAL_POSITION)
    )
    stays = f"{at}{DELETED_AT} is null" if DELETED_AT in types else "true"
    return f"{{'lsn': {lsn}, 'place': {place}, 'stays': {stays}}}"


def _read_parquet(paths: Iterable[str], file_as: str) -> str:
    listed = ", ".join(map(file_literal, paths))
    named = f", filename = {literal(file_as)}" if file_as else ""
    return f"read_parquet([{listed}], union_by_name = true, hive_partitioning = false{named})"
