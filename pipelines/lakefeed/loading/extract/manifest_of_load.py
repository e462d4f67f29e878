"""Describes what an extraction has read as a load manifest, with the checkpoint it has come to."""

from __future__ import annotations

from lakefeed.loading.extract.extraction import Extraction, ExtractionResult
from lakefeed.loading.extract.reader import Reading
from lakefeed.loading.extract.window import Window
from lakefeed.loading.plan.cursors import (
    CursorValue,
    as_cursor_value,
    moment_of,
    next_checkpoint,
    parsed_checkpoint,
)
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.source.log.lsn import lsn_text


def checkpoint_after(
    extraction: Extraction, window: Window, reading: Reading
) -> CursorValue | None:
    """Where this load has come to; None where it leaves the checkpoint alone."""
    key_range = extraction.key_range
    if key_range and not key_range.is_last:
        return None
    kind = extraction.plan.cursor_kind
    if extraction.plan.table.reads_row_versions:
        return extraction.in_flight.oldest_unfinished
    if extraction.source_log:
        return extraction.source_log.reaches
    if key_range:
        return _newest_of_ranges(extraction, reading)
    if kind is None or not extraction.checkpoint_may_move:
        return None
    newest = as_cursor_value(reading.newest, kind)
    starts_over = extraction.has_other_storage and newest is not None
    before = None if window.is_whole or starts_over else window.checkpoint
    return next_checkpoint(newest, window.horizon, before)


def manifest_of(extraction: Extraction, result: ExtractionResult, load_id: str) -> Load:
    """The manifest of the load, without the names of its files."""
    plan, reading, key_range = extraction.plan, result.reading, extraction.key_range
    newest = _text(_newest_of_ranges(extraction, reading))
    return Load(
        load_id=load_id,
        table=plan.table.lake_name,
        supersedes=extraction.window.is_whole or extraction.abandons_ranges,
        snapshot_at=extraction.snapshot.taken_at.isoformat(timespec="microseconds"),
        rows_read=reading.rows_read,
        rows=reading.rows,
        deleted=reading.deleted,
        null_cursors=reading.null_cursors_noted,
        cursor=plan.read_as.cursor,
        cursor_min=reading.cursor_min,
        cursor_max=reading.cursor_max,
        checkpoint_before=checkpoint_text(plan, result.checkpoint_before),
        checkpoint=checkpoint_text(plan, result.checkpoint),
        read_as=extraction.read_as,
        in_flight=extraction.in_flight if key_range is None or key_range.is_last else None,
        range=key_range.noted(load_id, newest) if key_range else None,
    )


def _newest_of_ranges(extraction: Extraction, reading: Reading) -> CursorValue | None:
    """The largest cursor of a first load's ranges so far, at most the horizon of the first one."""
    key_range, plan = extraction.key_range, extraction.plan
    if key_range is None or plan.cursor_kind is None:
        return None
    so_far = key_range.before.range if key_range.before else None
    before = (
        parsed_checkpoint(so_far.newest, plan.cursor_kind) if so_far and so_far.newest else None
    )
    newest = as_cursor_value(reading.newest, plan.cursor_kind)
    return next_checkpoint(newest, extraction.window.horizon, before)


def lateness_of(extraction: Extraction, reading: Reading) -> float | None:
    """How many seconds the newest cursor lies before the snapshot, where it is a time."""
    newest = reading.newest
    if newest is None or isinstance(newest, int):
        return None
    moment = moment_of(newest, extraction.plan.cursor_zone)
    return round((extraction.snapshot.taken_at - moment).total_seconds(), 3)


def checkpoint_text(plan: TablePlan, value: CursorValue | None) -> str | None:
    """A checkpoint as manifests and reports have it; of the log, as PostgreSQL writes positions."""
    return lsn_text(value) if plan.table.reads_log and isinstance(value, int) else _text(value)


def _text(value: CursorValue | None) -> str | None:
    return None if value is None else str(value)
