"""What the next load of a table would read, as plain data; without a connection, what is declared.

Imported while Airflow parses the DAG, so nothing here imports dlt, DuckDB or psycopg2.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.declaration.explain import shown
from lakefeed.declaration.table import Mode, Table
from lakefeed.errors import LakefeedError
from lakefeed.source.inspection.key_scans import KeyScan


@dataclass(frozen=True)
class Estimate:
    """What a query would read, without having run it.

    Attributes:
        rows: how many rows.
        size: their bytes, as they cross the network.
        scans: whether the source reads a whole table for them, rather than by an index.
        cost: the planner's, in its own unit: about the time to read a page of the table.
    """

    rows: int
    size: int
    scans: bool
    cost: float = 0.0


@dataclass(frozen=True)
class LoadPreview:
    """What the next load of a table would read: as far as it is known.

    Attributes:
        name: the table, such as `shop.orders`.
        lake_name: its name in the lake, such as `shop__orders`.
        mode: its declared mode.
        columns: the columns to read, in the order of the raw files.
        primary_key: the columns that identify a row; empty if there are none.
        history: whether it has a history model.
        cursor: the cursor column; `xmin` for row versions, `wal` for the log; None without one.
        lookback: how far below the checkpoint it starts; empty if it doesn't.
        checkpoint: the checkpoint of earlier loads; None before the first load.
        start: the smallest cursor value read, inclusive: the checkpoint or, if that is earlier, the
            safe horizon, minus the lookback. None to read from the beginning. With `cursor: xmin`,
            a transaction ID.
        end: the end of a backfill, exclusive; None if it is open.
        reads_whole: whether the whole table is read, which supersedes all earlier loads.
        supersedes: the IDs of the loads that would be superseded.
        reasons: what determines where it starts, in the order in which it applies; empty if only
            the declaration is known.
        ranges: how a first load in ranges goes on, or begins; empty for any other.
        finds_deleted: whether it compares all keys, to find deleted rows.
        estimate: how much it would read, as the source's planner expects; None if not asked for.
        statements: in how many statements its rows are read.
        keys: what comparing all keys scans, by the source's statistics; None if it isn't done, or
            not asked for.
        shrinks: why `max_shrink` may refuse it, by the source's statistics; empty if nothing hints
            at that.
        drift: what changed in the database since the catalogue was written.
        notes: schema changes since the last load, and their effect on this one.
        models, tests: how many models are downstream of the table, and tests of these.
        declared_at: the `file:line` of its cursor, or of the table.
        error: why the table can't be loaded. Fields that aren't known then keep their defaults.
    """

    name: str
    lake_name: str
    mode: Mode
    columns: tuple[str, ...] = ()
    primary_key: tuple[str, ...] = ()
    history: bool = False
    cursor: str | None = None
    lookback: str = ""
    checkpoint: str | None = None
    start: str | None = None
    end: str | None = None
    reads_whole: bool = False
    supersedes: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    ranges: str = ""
    finds_deleted: bool = False
    estimate: Estimate | None = None
    statements: int = 1
    keys: KeyScan | None = None
    shrinks: str = ""
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    models: int = 0
    tests: int = 0
    declared_at: str = ""
    error: LakefeedError | None = None


def declared_load(table: Table) -> LoadPreview:
    """What is known of a table's next load without a connection."""
    cursor = table.settings.cursor if table.goes_on else None
    lookback = table.settings.lookback
    return LoadPreview(
        name=table.shown,
        lake_name=table.lake_name,
        mode=table.mode,
        cursor=cursor.recorded if cursor else None,
        lookback=shown(lookback) if table.cursor and lookback else "",
        reads_whole=not table.goes_on,
        finds_deleted=_finds_deleted(table),
        declared_at=table.where_of("cursor"),
    )


def _finds_deleted(table: Table) -> bool:
    by_comparing = table.goes_on and not table.reads_log
    return by_comparing and table.settings.deletes != "ignore"
