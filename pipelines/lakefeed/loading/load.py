"""Loads one table: resumes what is pending, repairs, reads, describes, commits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.loading.accepted_changes import accepted_changes
from lakefeed.loading.dlt_adapter.load_packages import drop_remains
from lakefeed.loading.extract.completeness import (
    whole_if_rewritten,
    whole_if_values_were_added,
)
from lakefeed.loading.extract.extraction import Extraction, ExtractionResult
from lakefeed.loading.extract.manifest_of_load import checkpoint_text
from lakefeed.loading.extract.missed_rows import notes_of_parts
from lakefeed.loading.extract.window import window_of
from lakefeed.loading.first_load import RangesLoaded, load_ranges, plan_first_load
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.locks.table_lock import table_lock
from lakefeed.loading.log.run_log import RunLog
from lakefeed.loading.plan.read_contract import noted_from_present
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.load_manifest import Load, unfinished
from lakefeed.loading.raw.load_manifest import effective as effective_of
from lakefeed.loading.raw.nearest_files import drop_other_copies
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.loading.workspace import (
    HeldLock,
    Workspace,
    commit_pending,
    drop_files_in_progress,
    extract,
    repair,
    workspace_of,
)
from lakefeed.source.inspection.equality import compared_by_text


def load_table(
    project: Project, opened: TableSession, options: LoadOptions, log: RunLog | None = None
) -> LoadResult:
    """Loads one table at the snapshot and commits it, or leaves everything as it was.

    Side effects: appends to the table's raw folder, moves dlt's state, closes the session before it
    commits. Safe to kill and to repeat.

    Args:
        log: the source's log, for a table that is read by it.

    Raises:
        Refused: another load of this table is running, or a refresh would shrink it too much.
        TableFailed: the rows can't be read as declared.
    """
    with table_lock(project, opened.plan.table, opened.source.needed_holder) as lock:
        return load_under_lock(project, opened, options, lock, log=log)


def load_under_lock(
    project: Project,
    opened: TableSession,
    options: LoadOptions,
    lock: HeldLock,
    *,
    log: RunLog | None = None,
) -> LoadResult:
    """`load_table` for a caller that holds the lock."""
    started = time.monotonic()
    plan = opened.plan
    workspace = workspace_of(project, plan)
    drop_remains(Path(workspace.pipeline.working_dir))
    resumed = commit_pending(workspace)
    notes = list(lock.notes)
    notes += [f"finished load {load.load_id}, which had been interrupted" for load in resumed]
    loads = workspace.log.loads()
    notes += [] if loads else repair(workspace)
    drop_other_copies(workspace.log, loads)
    was_reading = drop_files_in_progress(workspace.spool)
    first_load = plan_first_load(opened, loads, options)
    if was_reading and not resumed and not unfinished(loads):
        notes.append("an earlier read of it was interrupted, so it starts over")
    notes += first_load.notes
    ranges: RangesLoaded | None = None
    if first_load.is_in_ranges:
        notes += _doubts_of_key(plan, opened.open())
        ranges = load_ranges(workspace, opened, first_load, lock)
        notes.append(ranges.note)
        if ranges.is_whole:
            committed = [*resumed, *ranges.committed]
            return _result(plan, ranges.results, committed, notes, started=started)
        loads = workspace.log.loads()
    extracted, committed, found = _load_window(
        workspace, opened, options, lock, loads=loads, log=log
    )
    results = (*(ranges.results if ranges else ()), extracted)
    committed = [*resumed, *(ranges.committed if ranges else ()), *committed]
    return _result(plan, results, committed, [*notes, *found], started=started)


def _load_window(
    workspace: Workspace,
    opened: TableSession,
    options: LoadOptions,
    lock: HeldLock,
    *,
    loads: Sequence[Load],
    log: RunLog | None,
) -> tuple[ExtractionResult, list[Load], list[str]]:
    """Loads the window that these committed loads lead to; returns what it commits, and notes."""
    plan, source = opened.plan, opened.source
    effective = effective_of(loads)
    changes = accepted_changes(plan, effective, options)
    notes = [*changes.notes, *notes_of_parts(plan, changes)]
    session = opened.open()
    if not (effective and effective[-1].read_as and effective[-1].read_as.key == plan.key):
        notes += _doubts_of_key(plan, session)
    window = window_of(
        plan,
        effective,
        source.snapshot,
        changes,
        whole=options.full_refresh,
        backfill=options.backfill,
    )
    source_log = None
    if log and plan.table.reads_log:
        window = whole_if_values_were_added(session, plan, window, changes)
        source_log = log.log_of(plan, effective, whole=window.is_whole or not effective)
        window = whole_if_rewritten(window, changes, source_log)
        if window.is_whole and source_log.changes:
            source_log = log.log_of(plan, effective, whole=True)
    extraction = Extraction(
        source=source,
        session=session,
        plan=plan,
        log=workspace.log,
        effective=tuple(effective),
        changes=changes,
        window=window,
        source_log=source_log,
        allow_shrink=options.allow_shrink or changes.fewer,
        spool=workspace.spool,
        steps=options.steps,
        abandons_ranges=bool(unfinished(loads)),
    )
    extracted = extract(workspace, extraction)
    opened.close()
    lock.assert_held()
    committed = commit_pending(workspace)
    if log and source_log:
        log.came_to(plan, (committed or effective)[-1].load_id, source_log)
    if effective and not committed and not options.backfill:
        _note_from_present(workspace, extraction, extracted)
    return extracted, committed, notes


def _note_from_present(
    workspace: Workspace, extraction: Extraction, extracted: ExtractionResult
) -> None:
    """Updates the newest load's manifest where a load without new rows learned something."""
    begins_anew = extraction.plan.cursor_kind == "number" and extraction.has_other_storage
    if begins_anew and not extracted.reading.rows_read:
        # Numbers may start over; the first rows to come will tell.
        return
    newest, now = extraction.effective[-1], extraction.read_as
    noted = noted_from_present(newest.read_as, now, read_whole=extraction.window.is_whole)
    if noted:
        workspace.log.redescribe_one(replace(newest, read_as=noted))


def _doubts_of_key(plan: TablePlan, session: SourceSession) -> list[str]:
    """Warnings about a key when it is first used."""
    catalogue = plan.table.catalogue
    if catalogue is None:
        return []
    return compared_by_text(session.fetch, [(catalogue, plan.key_columns)])[catalogue.qualified]


def _result(
    plan: TablePlan,
    parts: Sequence[ExtractionResult],
    committed: Sequence[Load],
    notes: Sequence[str],
    *,
    started: float,
) -> LoadResult:
    """The result of a load that was read in these parts, one after another."""
    last = parts[-1]
    before = last.checkpoint_before if len(parts) == 1 else None
    after = last.checkpoint if last.checkpoint is not None else last.checkpoint_before
    news = [part.reading for part in parts if part.reading.is_news]
    return LoadResult(
        rows_read=sum(part.reading.rows_read for part in parts),
        rows=sum(reading.rows for reading in news),
        deleted=sum(reading.deleted for reading in news),
        null_cursors=sum(part.reading.null_cursors for part in parts),
        checkpoint_before=checkpoint_text(plan, before),
        checkpoint=checkpoint_text(plan, after),
        committed=tuple(committed),
        notes=(*notes, *(note for part in parts for note in part.notes)),
        seconds=time.monotonic() - started,
        step=last.step,
    )
