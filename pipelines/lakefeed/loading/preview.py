"""What a load of one table would read if it began now, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import LakefeedError
from lakefeed.loading.extract.window import changes_since_newest, window_of
from lakefeed.loading.load_result import LoadOptions
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.commit_log import CommitLog, checkpoint_after
from lakefeed.source.snapshot import Snapshot


@dataclass(frozen=True)
class LoadPreview:
    """What the next load of a table would read.

    Attributes:
        name: the table, such as `shop.orders`.
        lake_name: its name in the lake, such as `shop__orders`.
        mode: how it is declared to be loaded.
        columns: the columns read, in the order of the raw files.
        primary_key: the columns that identify a row; empty where there are none.
        cursor: the cursor's column; `xmin` for row versions; None where there is none.
        checkpoint: where earlier loads have come to; None before the first load.
        start: the smallest cursor value read, inclusive: the checkpoint or, if that is earlier, the
            safe horizon, less the lookback. None to read from the beginning. With `cursor: xmin`,
            the ID of a transaction.
        end: the end of a backfill, exclusive; None for an open end.
        reads_whole: whether the table is read whole, so that the load supersedes all earlier ones.
        supersedes: IDs of the loads that would no longer count.
        notes: what changed since the last load, and what follows from it.
        error: why the table can't be loaded; the other fields are then as far as known.
    """

    name: str
    lake_name: str
    mode: Literal["incremental", "full_refresh"]
    columns: tuple[str, ...] = ()
    primary_key: tuple[str, ...] = ()
    cursor: str | None = None
    checkpoint: str | None = None
    start: str | None = None
    end: str | None = None
    reads_whole: bool = False
    supersedes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: LakefeedError | None = None


def preview_failed(table: Table, error: LakefeedError) -> LoadPreview:
    """The preview of a table that can't be loaded."""
    return LoadPreview(table.shown, table.lake_name, table.mode, error=error)


def preview_load(
    project: Project, plan: TablePlan, snapshot: Snapshot, options: LoadOptions
) -> LoadPreview:
    """What a load at this snapshot would read. Reads the commit log; changes nothing.

    One thing shows only while rows are read: where an added column has values in older rows, they
    are read as well, from the beginning.
    """
    table = plan.table
    effective = CommitLog(project.raw_url, table.lake_name).effective_loads()
    reads_whole = options.full_refresh or table.mode == "full_refresh"
    changes = changes_since_newest(plan, effective, reads_whole=reads_whole)
    window = window_of(
        plan,
        effective,
        snapshot,
        changes,
        whole=options.full_refresh,
        backfill=options.backfill,
    )
    return LoadPreview(
        name=table.shown,
        lake_name=table.lake_name,
        mode=table.mode,
        columns=tuple(column.name for column in plan.columns),
        primary_key=plan.key,
        cursor=plan.read_as.cursor,
        checkpoint=checkpoint_after(effective) if table.mode == "incremental" else None,
        start=_text(window.start),
        end=_text(window.end),
        reads_whole=window.is_whole,
        supersedes=tuple(load.load_id for load in effective) if window.is_whole else (),
        notes=changes.notes,
    )


def _text(value: CursorValue | None) -> str | None:
    return None if value is None else str(value)
