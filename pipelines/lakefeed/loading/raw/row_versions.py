"""Finds all versions of one row in raw, in the order in which they replace one another."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from lakefeed.declaration.table import Table
from lakefeed.loading.plan.column_names import (
    DELETED_AT,
    WAL_COLUMNS,
    WAL_COMMITTED_AT,
    WAL_LSN,
    WAL_OPERATION,
    WAL_POSITION,
)
from lakefeed.loading.plan.cursor_columns import value_of
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.nearest_files import nearest_files
from lakefeed.loading.raw.row_key import Key, condition_on
from lakefeed.loading.raw.scan import LOAD_ID, change_of, has_changes, rows_of
from lakefeed.source.inspection.types import lake_type
from lakefeed.source.log.lsn import lsn_text
from lakefeed.sql import quote

_FILE = "_lakefeed_file"
_RANK = "_lakefeed_rank"


@dataclass(frozen=True)
class Change:
    """What wrote a version, by the log.

    Attributes:
        operation: `insert`, `update`, `delete` or `truncate`.
        lsn: that of the transaction's commit.
        position: the place of the change within its transaction, from 1.
        committed_at: when the transaction committed, by the source's clock.
    """

    operation: str
    lsn: int
    position: int
    committed_at: str

    @property
    def shown(self) -> str:
        """Its place in the log, as PostgreSQL writes it."""
        return lsn_text(self.lsn)

    @classmethod
    def of(cls, fields: Sequence[str]) -> Change:
        """A change from its fields as text, in their order."""
        operation, lsn, position, committed_at = fields
        return cls(operation, int(lsn), int(position), committed_at)


@dataclass(frozen=True)
class RowVersion:
    """A version of a row: its load, its file and its values as text.

    `file` is relative to the table's raw folder. `deleted_at` is set in tombstones. `cursor_rank`
    increases with the cursor; it is None without a cursor. `change` is None for rows that were read
    from the table.
    """

    load: Load
    file: str
    values: dict[str, str | None]
    cursor: str | None = None
    cursor_rank: int | None = None
    deleted_at: str | None = None
    change: Change | None = None


def raw_versions(
    engine: DuckDBPyConnection, log: CommitLog, loads: Sequence[Load], table: Table, key: Key
) -> list[RowVersion]:
    """The versions of the row with this key in these loads, in the order of the loads.

    Within one load they are ordered as in the log, or by cursor, since staging takes the last one.
    Reads only committed files, and of these only row groups that may contain the key.
    """
    latest = LatestRows.of(log, list(loads))
    if not latest:
        return []
    relation = rows_of(latest.files, file_as=_FILE)
    types = {row[0]: row[1] for row in engine.execute(f"describe from {relation}").fetchall()}
    condition = condition_on(key, types)
    if condition is None:
        return []
    internal = (LOAD_ID, DELETED_AT, _FILE, *(WAL_COLUMNS if has_changes(types) else ()))
    names = [name for name in types if name not in internal]
    selected = ", ".join(f"{quote(name)}::varchar" for name in names)
    deleted_at = f"{DELETED_AT}::varchar" if DELETED_AT in types else "null"
    cursor = _cursor_of(table, {name.lower() for name in types})
    rank = f"case when {cursor} is not null then dense_rank() over (order by {cursor}) end"
    rows = engine.execute(
        f"select {LOAD_ID}, {_FILE}, {deleted_at}, {cursor}::varchar, {rank} as {_RANK}, "
        f"{_change(types)}, {selected} from {relation} where {condition} "
        f"order by {change_of(types)}, {_RANK} nulls first"
    ).fetchall()
    files = {path: file for file, path in nearest_files(log, loads).items()}
    position = {load.load_id: number for number, load in enumerate(loads)}
    versions = [
        RowVersion(
            load=loads[position[load_id]],
            file=files.get(file, file),
            values=dict(zip(names, values, strict=True)),
            cursor=cursor_value,
            cursor_rank=cursor_rank,
            deleted_at=deleted,
            change=Change.of(change) if change else None,
        )
        for load_id, file, deleted, cursor_value, cursor_rank, change, *values in rows
        if load_id in position
    ]
    return sorted(versions, key=lambda version: position[version.load.load_id])


def _change(types: Mapping[str, str]) -> str:
    """An expression for the fields of a version's change; null if it wasn't read from the log."""
    if not has_changes(types):
        return "null"
    fields = (WAL_OPERATION, WAL_LSN, WAL_POSITION, WAL_COMMITTED_AT)
    listed = ", ".join(f"{name}::varchar" for name in fields)
    return f"case when {WAL_LSN} is not null then [{listed}] end"


def _cursor_of(table: Table, names: Collection[str]) -> str:
    if table.catalogue is None or table.cursor is None:
        return "null"
    found = [table.catalogue.column(name) for name in table.cursor.columns]
    values = [
        f"try_cast({quote(column.name)} as {lake_type(column.type).duckdb})"
        if column and column.name.lower() in names
        else "null"
        for column in found
    ]
    return value_of(table.cursor, values)
