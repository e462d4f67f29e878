"""Lakefeed's way of reading for dlt's `sql_table`: DuckDB scans PostgreSQL and writes the Parquet.

dlt builds the query, with `dlt.sources.incremental` pushed down into its WHERE; DuckDB's scanner
runs it at the shared snapshot, a big table in ranges, and writes the files; dlt imports them into
its load package. The measurements behind the choice are in docs/how-it-works.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

import dlt
import sqlalchemy as sa
from dlt.sources.sql_database import BaseTableLoader, register_table_loader_backend

from lakefeed.errors import Refused
from lakefeed.loading.extract.completeness import doubts_of, older_rows_have
from lakefeed.loading.extract.ctid_ranges import TableSize, cut
from lakefeed.loading.extract.delete_detection import Moved, compare_keys
from lakefeed.loading.extract.extraction import Extraction, loads_to_compare
from lakefeed.loading.extract.key_check import check_key
from lakefeed.loading.extract.missed_rows import (
    note_of_arrived,
    queries_for_arrived,
    queries_for_parts,
    read_anyway,
)
from lakefeed.loading.extract.parquet_copy import Target
from lakefeed.loading.extract.reader import Reading, read_table, read_whole_table
from lakefeed.loading.extract.rewrite_detection import refuse_rewritten
from lakefeed.loading.extract.steps import next_step
from lakefeed.loading.plan.cursors import (
    CursorValue,
    as_cursor_value,
    moment_of,
    next_checkpoint,
    reading_start,
)
from lakefeed.loading.plan.queries import (
    declared_condition,
    exact_columns,
    since_condition,
    size_query,
)
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.load_manifest import MANIFEST, Load
from lakefeed.loading.raw.profile import PROFILE, profile_name

BACKEND = "lakefeed"


class SnapshotLoader(BaseTableLoader):
    """Reads one table for dlt as the `Extraction` among its keyword arguments says."""

    def load_rows(self, backend_kwargs: dict[str, Any] | None = None) -> Iterator[Any]:
        extraction: Extraction = (backend_kwargs or {})["extraction"]
        load_id = dlt.current.load_package_state()["load_id"]
        if self.incremental and not extraction.backfill:
            self._start_from_the_checkpoint(extraction)
        reading = self._read_what_the_snapshot_sees(extraction, load_id)
        extraction.reading = reading
        if not reading.is_news and not extraction.starts_anew:
            return
        if reading.rows:
            is_whole = extraction.is_whole
            check_key(extraction.session, extraction.plan, reading.files, is_whole=is_whole)
        self._move_the_checkpoint(extraction, reading)
        extraction.load = _describe(extraction, reading, load_id)
        _note(extraction, reading, extraction.load)
        hints = reading.schema.empty_table()
        for path, rows in reading.files.items():
            yield dlt.mark.with_file_import(str(path), "parquet", rows, hints=hints)

    def _start_from_the_checkpoint(self, extraction: Extraction) -> None:
        plan, kind = extraction.plan, extraction.plan.cursor_kind
        assert self.incremental is not None and kind is not None
        stored = self.incremental.get_state().get("last_value")
        checkpoint = as_cursor_value(stored, kind) if extraction.effective else None
        extraction.checkpoint_before = checkpoint
        self.last_value = reading_start(
            None if extraction.whole else checkpoint,
            extraction.horizon,
            plan.table.settings.lookback,
            plan.initial_value,
        )
        if extraction.changes.is_another_table:
            self.last_value = plan.initial_value
        if self.last_value is not None and older_rows_have(extraction, self.last_value):
            self.last_value = plan.initial_value
            names = ", ".join(f"`{name}`" for name in extraction.changes.added)
            extraction.notes.append(
                f"{names} is new, and rows loaded before have values in it: read from the beginning"
            )

    def _read_what_the_snapshot_sees(self, extraction: Extraction, load_id: str) -> Reading:
        """
        Raises:
            Rewritten: a table that is shown as it isn't any more; also where it seems to shrink.
        """
        try:
            reading = self._read(extraction, load_id)
        except Refused:
            refuse_rewritten(extraction.session, extraction.plan)
            raise
        refuse_rewritten(extraction.session, extraction.plan)
        return reading

    def _read(self, extraction: Extraction, load_id: str) -> Reading:
        source, session, plan = extraction.source, extraction.session, extraction.plan
        condition = extraction.new_row_versions() or self._step(extraction)
        by_cursor, parts = self._by_cursor(plan, condition), extraction.other_parts()
        read = read_anyway(plan, by_cursor, parts)
        moved = self._compare_keys(extraction, read)
        target = Target(extraction.spool, load_id, moved.tombstones if moved else None)
        further: Iterable[str] = queries_for_parts(plan, by_cursor, parts)
        if moved and moved.arrived:
            extraction.notes.append(note_of_arrived(moved))
            further = chain(further, self._arrived(extraction, moved, read))
        horizon = extraction.horizon
        if extraction.whole:
            return read_whole_table(
                source,
                session,
                plan,
                self._queries(extraction, condition),
                target,
                held=LatestRows.of(extraction.log, extraction.effective),
                horizon=horizon,
                allow_shrink=extraction.allow_shrink,
            )
        start = extraction.checkpoint_before if self.incremental is None else self.last_value
        is_wider = parts or (moved and moved.arrived)
        compared = loads_to_compare(plan, extraction.effective, None if is_wider else start)
        held = LatestRows.of(extraction.log, [] if extraction.backfill else compared)
        queries = self._queries(extraction, condition, at_once=bool(held))
        reading = read_table(
            source, session, plan, queries, target, held=held, horizon=horizon, further=further
        )
        if not extraction.backfill and self.last_value is not None:
            extraction.notes += doubts_of(extraction, reading, self.last_value)
        return reading

    def _step(self, extraction: Extraction) -> str | None:
        """The condition of the step to be read, where there is to be one and it isn't the last."""
        if extraction.steps is None or not extraction.may_be_a_step:
            return None
        step = next_step(
            extraction.session,
            extraction.plan,
            extraction.steps,
            above=extraction.checkpoint_before,
            horizon=extraction.horizon,
        )
        extraction.step = step if step.condition else None
        return step.condition

    def _by_cursor(self, plan: TablePlan, condition: str | None) -> str:
        """The source's condition for the rows that the cursor, or the row versions, lead to."""
        if condition is None and self.last_value is not None:
            condition = since_condition(plan, self.last_value)
        return condition or "true"

    def _arrived(self, extraction: Extraction, moved: Moved, read: str) -> Iterable[str]:
        """Queries for rows that the cursor doesn't show. Without places, it has to reach back."""
        if extraction.plan.has_places:
            return queries_for_arrived(extraction.session, extraction.plan, read)
        if moved.earliest is not None and self.last_value is not None:
            self.last_value = min(self.last_value, moved.earliest)
        return ()

    def _queries(
        self, extraction: Extraction, condition: str | None, *, at_once: bool = False
    ) -> list[str]:
        """What to read: everything in ranges, or what a condition says in one query."""
        plan = extraction.plan
        reads_all = condition is None and self.last_value is None and not extraction.backfill
        if at_once or not reads_all:
            return [self._exact_query(plan, condition or "true")]
        size = extraction.session.fetch(size_query(plan))[0]
        ranges = cut(
            TableSize(*size),
            extraction.source.sessions_for(plan),
            plan.table.settings.max_query_time,
        )
        return [self._exact_query(plan, pages) for pages in ranges]

    def _exact_query(self, plan: TablePlan, condition: str) -> str:
        """dlt's query with each column read exactly, and our conditions beside dlt's own."""
        query = self.make_query()
        assert isinstance(query, sa.Select)
        if plan.table.settings.only:
            query = query.with_hint(self.table, "ONLY", "postgresql")
        columns: list[sa.ColumnElement[Any]] = list(map(sa.literal_column, exact_columns(plan)))
        query = query.with_only_columns(*columns, maintain_column_froms=True)
        for part in (declared_condition(plan), condition):
            query = query.where(sa.literal_column(f"({part})"))
        return self.compile_query(query).replace("%%", "%")

    def _compare_keys(self, extraction: Extraction, read: str) -> Moved | None:
        """Rows that left the source, or came to it; which a whole copy of the table says itself."""
        plan = extraction.plan
        marks = plan.table.settings.deletes == "mark"
        if not plan.watches_deletes or extraction.backfill or extraction.step:
            return None
        held = LatestRows.of(extraction.log, extraction.effective)
        if not held:
            return None
        if extraction.whole and not marks:
            return None
        return compare_keys(
            extraction.session,
            plan,
            held,
            read="true" if extraction.whole else read,
            found_at=extraction.snapshot.taken_at,
            again=extraction.whole,
            allow_shrink=extraction.allow_shrink,
        )

    def _move_the_checkpoint(self, extraction: Extraction, reading: Reading) -> None:
        if self.incremental is None or not extraction.checkpoint_may_move:
            return
        kind = extraction.plan.cursor_kind
        assert kind is not None
        newest = as_cursor_value(reading.newest, kind)
        starts_over = extraction.has_other_storage and newest is not None
        before = None if extraction.whole or starts_over else extraction.checkpoint_before
        extraction.checkpoint = next_checkpoint(newest, extraction.horizon, before)
        self.incremental.advance(extraction.checkpoint)


def _describe(extraction: Extraction, reading: Reading, load_id: str) -> Load:
    plan = extraction.plan
    return Load(
        load_id=load_id,
        table=plan.table.lake_name,
        supersedes=extraction.whole,
        snapshot_at=extraction.snapshot.taken_at.isoformat(timespec="microseconds"),
        rows_read=reading.rows_read,
        rows=reading.rows,
        deleted=reading.deleted,
        null_cursors=reading.null_cursors,
        cursor=plan.read_as.cursor,
        cursor_min=reading.cursor_min,
        cursor_max=reading.cursor_max,
        checkpoint_before=_text(extraction.checkpoint_before),
        checkpoint=_text(extraction.checkpoint),
        read_as=_read_as(extraction),
        in_flight=extraction.in_flight,
    )


def _read_as(extraction: Extraction) -> ReadContract:
    """A range alone says nothing of parts that came or were rewritten."""
    now = extraction.plan.read_as
    before = extraction.effective[-1].read_as if extraction.effective else None
    if extraction.backfill and before:
        return replace(now, identity=before.identity, parts=before.parts)
    return now


def _note(extraction: Extraction, reading: Reading, load: Load) -> None:
    """Keeps what is known of it beside dlt's pending package, so that a killed load can go on."""
    (extraction.spool / f"{load.load_id}.json").write_text(MANIFEST.text(load), encoding="utf-8")
    if reading.profile:
        profile = replace(reading.profile, lateness=_lateness(extraction, reading))
        path = extraction.spool / profile_name(load.load_id)
        path.write_text(PROFILE.text(profile), encoding="utf-8")


def _lateness(extraction: Extraction, reading: Reading) -> float | None:
    """How many seconds the newest cursor lies before the snapshot, where it is a time."""
    newest = reading.newest
    if newest is None or isinstance(newest, int):
        return None
    moment = moment_of(newest, extraction.plan.cursor_zone)
    return round((extraction.snapshot.taken_at - moment).total_seconds(), 3)


def _text(value: CursorValue | None) -> str | None:
    return None if value is None else str(value)


register_table_loader_backend(BACKEND, SnapshotLoader)
