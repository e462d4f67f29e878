"""Names that the lake's columns can't have."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed

# Set in tombstones: when a load found the row deleted, by the source's clock.
DELETED_AT = "_deleted_at"
# In rows of tables that are read from the log, each with DuckDB's type: the position of the commit
# in the log, that of the change within its transaction (from 1), the time of the commit, and what
# the change was. All are null in rows that were read rather than decoded.
WAL_LSN = "_wal_lsn"
WAL_POSITION = "_wal_position"
WAL_COMMITTED_AT = "_wal_committed_at"
WAL_OPERATION = "_wal_operation"
WAL_COLUMNS = {
    WAL_LSN: "bigint",
    WAL_POSITION: "bigint",
    WAL_COMMITTED_AT: "timestamp with time zone",
    WAL_OPERATION: "varchar",
}
_RESERVED = ("_dlt_load_id", "_staged_batch", "_load_position", DELETED_AT)
_RESERVED_WITH_HISTORY = (
    *("valid_from", "valid_to", "is_current", "loaded_at", "_changed_at", "_was_deleted"),
    *("_is_end", "_ended_at", "_next_position"),
)


def unusable_columns(
    names: Iterable[str], *, history: bool = False, log: bool = False
) -> dict[str, str]:
    """Column names that the lake can't hold, each with a reason that completes "the table has".

    Args:
        history: the table keeps every version.
        log: the table is read from the log.
    """
    seen: dict[str, str] = {}
    more = (*(_RESERVED_WITH_HISTORY if history else ()), *(WAL_COLUMNS if log else ()))
    reserved = (*_RESERVED, *more)
    found = {}
    for name in names:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            found[name] = f"the columns `{first}` and `{name}`, which are the same name to DuckDB"
        elif re.search(r'["\r]', name) or not name.strip():
            found[name] = f"a column named `{name}`, which dbt can't quote"
        elif name.lower() in reserved:
            found[name] = f"a column `{name}`, a name reserved by Lakefeed"
    return found


def check_names(table: Table, columns: tuple[Column, ...]) -> None:
    """Refuses columns that raw or staging can't hold under their names.

    Raises:
        TableFailed: names the column.
    """
    names = [column.name for column in columns]
    staged = {table.staged_name(name): name for name in names}
    in_staging = unusable_columns(staged, history=table.settings.history, log=table.reads_log)
    for name, reason in unusable_columns(names, log=table.reads_log).items():
        raise TableFailed(
            f"{table.shown} has {reason}",
            where=table.where,
            do=f"exclude it (columns: {{exclude: [{yaml_name(name)}]}}), or load a view that "
            "renames it",
        )
    for name, reason in in_staging.items():
        raise TableFailed(
            f"{table.shown} has {reason}",
            where=table.where_of(f"columns.{staged[name]}"),
            do=f"give it another name (columns: {{{yaml_name(staged[name])}: {{name: …}}}}), or "
            "exclude it",
        )
