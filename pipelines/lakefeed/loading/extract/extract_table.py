"""Reads one table at the snapshot into files, and describes them as a load to be committed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain

from lakefeed.errors import Refused
from lakefeed.loading.comparison.loads_to_compare import loads_to_compare
from lakefeed.loading.extract.completeness import (
    doubts_of,
    notes_of_values_left,
    notes_of_window,
    reaching_added_values,
)
from lakefeed.loading.extract.delete_detection import Moved, compare_keys
from lakefeed.loading.extract.extraction import Extraction, ExtractionResult
from lakefeed.loading.extract.kept_rows import note_of_hidden, refuse_other_key
from lakefeed.loading.extract.key_check import check_key
from lakefeed.loading.extract.log_reading import read_changes
from lakefeed.loading.extract.manifest_of_load import (
    checkpoint_after,
    lateness_of,
    manifest_of,
)
from lakefeed.loading.extract.missed_rows import (
    note_of_arrived,
    queries_for_arrived,
    queries_for_parts,
    read_anyway,
)
from lakefeed.loading.extract.parquet_copy import Target
from lakefeed.loading.extract.reader import Reading, read_table, read_whole_table
from lakefeed.loading.extract.rewrite_detection import refuse_rewritten
from lakefeed.loading.extract.window import Window, condition_of
from lakefeed.loading.plan.detached import note_of_detached
from lakefeed.loading.plan.queries import rows_query, size_query
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.ranges.ctid_ranges import TableSize, cut
from lakefeed.loading.ranges.steps import Step, next_step
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.load_manifest import MANIFEST
from lakefeed.loading.raw.profile import PROFILE, profile_name
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot

# The source's query for the rows of a window that meet one more condition.
QueryOf = Callable[[Window, str], str]


def page_ranges(session: SourceSession, plan: TablePlan) -> list[str]:
    """Conditions that split a whole table into ranges of pages; a single one if it is small."""
    if plan.table.query is not None:
        return ["true"]
    size = TableSize(*session.fetch(size_query(plan))[0])
    sessions = SourceAtSnapshot.sessions_for(plan)
    return cut(size, sessions, plan.table.settings.max_query_time)


def extract_table(extraction: Extraction, load_id: str, query_of: QueryOf) -> ExtractionResult:
    """Reads the window, and writes its new rows and their load manifest into the spool folder.

    Raises:
        Rewritten: the table was rewritten under the snapshot; also where it seems to shrink.
        Refused: the table lost more rows than `max_shrink` allows.
        TableFailed: the rows can't be read as declared.
    """
    rows_in_raw = sum(load.rows for load in extraction.effective)
    with extraction.session.in_threads_for(rows_in_raw):
        return _extract(extraction, load_id, query_of)


def _extract(extraction: Extraction, load_id: str, query_of: QueryOf) -> ExtractionResult:
    session, plan, changes = extraction.session, extraction.plan, extraction.changes
    window = reaching_added_values(session, plan, extraction.window, changes)
    notes = list(notes_of_window(plan, window, changes))
    notes += notes_of_values_left(session, plan, window, changes)
    step = _step_of(extraction, window)
    of_log = extraction.changes_of_log
    lake_name, query = plan.table.lake_name, _expected_query(extraction, window)
    try:
        with extraction.source.progress.reading(lake_name, query):
            window, reading, found = _read(extraction, window, step, load_id, query_of=query_of)
    except Refused:
        # A table that is rewritten at this moment looks as if it had lost its rows.
        refuse_rewritten(session, plan)
        raise
    if of_log is None:
        refuse_rewritten(session, plan)
    is_load = reading.is_news or extraction.is_load_anyway
    if is_load and reading.rows and of_log is None:
        is_first = not (extraction.effective or window.is_backfill or step)
        with session.in_threads_for(reading.rows):
            check_key(session, plan, reading.files, is_whole=window.is_whole or is_first)
    result = ExtractionResult(
        reading=reading,
        is_load=is_load,
        checkpoint_before=window.checkpoint,
        checkpoint=checkpoint_after(extraction, window, reading) if is_load else None,
        notes=(*notes, *found),
        step=step,
    )
    if is_load:
        _note(extraction, result, load_id)
    return result


def _expected_query(extraction: Extraction, window: Window) -> str | None:
    """The rows to be read, for the planner's estimate, which knows nothing of row versions."""
    plan = extraction.plan
    condition = condition_of(plan, window)
    is_guess = window.is_backfill or (condition and plan.cursor is None)
    return None if is_guess else rows_query(plan, condition or "true")


def _step_of(extraction: Extraction, window: Window) -> Step | None:
    """The step to read; None to read the window at once, or what the last step left of it."""
    if extraction.steps is None or not extraction.may_be_a_step:
        return None
    step = next_step(
        extraction.session,
        extraction.plan,
        extraction.steps,
        above=window.checkpoint,
        horizon=window.horizon,
    )
    return step if step.condition else None


def _read(
    extraction: Extraction,
    window: Window,
    step: Step | None,
    load_id: str,
    *,
    query_of: QueryOf,
) -> tuple[Window, Reading, list[str]]:
    """What was read, in which window in the end, and what to tell the user about it."""
    source, session, plan = extraction.source, extraction.session, extraction.plan
    if of_log := extraction.changes_of_log:
        return window, read_changes(extraction, of_log, load_id), []
    by_cursor = condition_of(plan, window) or "true"
    already_read = read_anyway(plan, by_cursor, window.parts)
    notes: list[str] = []
    is_part = bool(step or extraction.key_range)
    moved = None if is_part else _compare_keys(extraction, window, already_read)
    further: Iterable[str] = queries_for_parts(plan, by_cursor, window.parts)
    if moved and moved.arrived:
        notes.append(note_of_arrived(moved))
        if plan.has_places:
            further = chain(further, queries_for_arrived(session, plan, already_read))
        else:
            window = window.reaching_back_to(moved.earliest)
    target = Target(extraction.spool, load_id, moved.tombstones if moved else None)
    detached = extraction.detached
    if window.is_whole:
        if detached:
            refuse_other_key(plan, extraction.key_before, detached)
        reading = read_whole_table(
            source,
            session,
            plan,
            _queries(extraction, window, step, query_of=query_of),
            target,
            held=LatestRows.of(extraction.log, extraction.effective),
            horizon=window.horizon,
            allow_shrink=extraction.allow_shrink,
            detached=detached,
            hidden=extraction.changes.reprotected,
        )
        return window, reading, [*notes, *_notes_of_detached(extraction, reading.of_detached)]
    if moved:
        notes += _notes_of_detached(extraction, moved.of_detached)
    compared = _loads_to_compare(extraction, window, moved)
    queries = _queries(extraction, window, step, at_once=bool(compared), query_of=query_of)
    reading = read_table(
        source,
        session,
        plan,
        queries,
        target,
        held=compared,
        horizon=window.horizon,
        further=further,
    )
    return window, reading, [*notes, *doubts_of(extraction, window, reading)]


def _notes_of_detached(extraction: Extraction, rows: int) -> Iterator[str]:
    """What becomes of these rows of partitions that have left since the latest load."""
    plan, detached = extraction.plan, extraction.detached
    if detached is None:
        return
    if rows:
        yield note_of_detached(detached, plan.table.settings.deletes, rows)
    if extraction.window.is_whole and detached.keeps and extraction.changes.reprotected:
        yield note_of_hidden(plan, extraction.changes.reprotected)


def _loads_to_compare(extraction: Extraction, window: Window, moved: Moved | None) -> LatestRows:
    """The loads to compare with; all where rows come that the cursor doesn't lead to."""
    if window.is_backfill and not extraction.plan.table.appends:
        return LatestRows.of(extraction.log, ())
    is_wider = window.parts or (moved and moved.arrived)
    start = None if is_wider else window.start
    loads = loads_to_compare(extraction.plan, extraction.effective, start)
    return LatestRows.of(extraction.log, loads)


def _queries(
    extraction: Extraction,
    window: Window,
    step: Step | None,
    *,
    query_of: QueryOf,
    at_once: bool = False,
) -> list[str]:
    """What to read: everything in ranges of pages, or a window in one query."""
    plan, key_range = extraction.plan, extraction.key_range
    if key_range:
        return [query_of(window, keys) for keys in key_range.to_read.conditions]
    if step and step.condition:
        return [query_of(window, step.condition)]
    reads_all = window.start is None and not window.is_backfill
    if at_once or not reads_all:
        # dlt has put the condition for a cursor into its query; it knows nothing of row versions.
        condition = condition_of(plan, window) if plan.table.reads_row_versions else None
        return [query_of(window, condition or "true")]
    return [query_of(window, pages) for pages in page_ranges(extraction.session, plan)]


def _compare_keys(extraction: Extraction, window: Window, already_read: str) -> Moved | None:
    """Rows deleted in or added to the source unseen; a whole read shows these by itself."""
    plan = extraction.plan
    marks = plan.table.settings.deletes == "mark"
    if not plan.watches_deletes or window.is_backfill or (window.is_whole and not marks):
        return None
    latest = LatestRows.of(extraction.log, extraction.effective)
    # Keys that are hashed from now on, or otherwise, are none of those in raw.
    has_other_keys = not set(plan.key).isdisjoint(extraction.changes.reprotected)
    if not latest or has_other_keys:
        return None
    return compare_keys(
        extraction.session,
        plan,
        latest,
        read="true" if window.is_whole else already_read,
        found_at=extraction.snapshot.taken_at,
        again=window.is_whole,
        allow_shrink=extraction.allow_shrink,
        hidden=extraction.changes.reprotected,
        detached=extraction.detached,
    )


def _note(extraction: Extraction, result: ExtractionResult, load_id: str) -> None:
    """Writes the load manifest beside dlt's pending package, so that a killed load can resume."""
    manifest = manifest_of(extraction, result, load_id)
    (extraction.spool / f"{load_id}.json").write_text(MANIFEST.text(manifest), encoding="utf-8")
    if result.reading.profile:
        profile = replace(result.reading.profile, lateness=lateness_of(extraction, result.reading))
        path = extraction.spool / profile_name(load_id)
        path.write_text(PROFILE.text(profile), encoding="utf-8")
