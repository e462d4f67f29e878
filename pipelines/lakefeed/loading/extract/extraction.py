"""One extraction: what it is given, what follows from that, and what came of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lakefeed.declaration.catalogue import Part
from lakefeed.declaration.tables import ROW_VERSION
from lakefeed.loading.extract.reader import Reading
from lakefeed.loading.extract.steps import Step, Steps
from lakefeed.loading.plan.cursors import CursorValue, as_cursor_value, horizon_for, reading_start
from lakefeed.loading.plan.queries import since_condition, written_since
from lakefeed.loading.plan.read_contract import ContractChanges
from lakefeed.loading.plan.table_plan import Range, TablePlan
from lakefeed.loading.raw.commit_log import CommitLog, checkpoint_after
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.transactions import OpenTransactions, in_flight_at
from lakefeed.source.snapshot import Snapshot

# A row that every load reads again is written again once in so many loads.
_RECENT_LOADS = 50


@dataclass
class Extraction:
    """The input of one extraction, and, once dlt has run it, its outcome."""

    source: SourceAtSnapshot
    session: SourceSession
    plan: TablePlan
    log: CommitLog
    effective: list[Load]
    changes: ContractChanges
    whole: bool
    backfill: Range | None
    allow_shrink: bool
    spool: Path
    steps: Steps | None = None
    step: Step | None = None
    checkpoint_before: CursorValue | None = None
    checkpoint: CursorValue | None = None
    reading: Reading | None = None
    load: Load | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def snapshot(self) -> Snapshot:
        """The moment that all tables of the source are read at."""
        return self.source.snapshot

    @cached_property
    def in_flight(self) -> OpenTransactions:
        """The transactions in flight at the snapshot, as far as they concern this table."""
        last = self.effective[-1].in_flight if self.effective else None
        return in_flight_at(self.snapshot, last)

    @cached_property
    def horizon(self) -> CursorValue | None:
        """How far the checkpoint may go, in the cursor's terms; None where there is no bound."""
        return _horizon_of(self.plan, self.in_flight)

    @property
    def is_whole(self) -> bool:
        """Whether all rows that are declared to be loaded are written."""
        return self.whole or not (self.effective or self.backfill or self.step)

    @property
    def starts_anew(self) -> bool:
        """Whether the newest load's cursor or key means nothing now; to be noted even without rows
        and, as staging was made by another key, where raw has the same rows.
        """
        last = self.effective[-1] if self.effective else None
        if last is None or last.read_as is None:
            return False
        before, now = last.read_as, self.plan.read_as
        return before.cursor != now.cursor or before.key != now.key or self.was_restored

    @property
    def was_restored(self) -> bool:
        """Whether row versions are numbered otherwise than they were at the newest load."""
        seen = _seen_row_versions(self.effective)
        if seen is None or not self.plan.table.reads_row_versions:
            return False
        return not self.in_flight.continues(seen)

    def new_row_versions(self) -> str | None:
        """For `cursor: xmin`: the condition for what the newest load's snapshot did not see.

        None where all rows are to be read. Side effect: sets both checkpoints.
        """
        if not self.plan.table.reads_row_versions:
            return None
        self.checkpoint = self.in_flight.oldest_unfinished
        reads_all = self.whole or self.changes.added
        seen = None if reads_all else _seen_row_versions(self.effective)
        if seen is None:
            return None
        if self.was_restored:
            self.notes.append(
                "the server was restored or replaced since the last load, so that its row versions "
                "are numbered otherwise: read from the beginning"
            )
            return None
        if self.changes.is_another_table:
            return None
        self.checkpoint_before = seen.oldest_unfinished
        return written_since(seen.oldest_unfinished, self.in_flight.next_number)

    @property
    def has_other_storage(self) -> bool:
        """Whether nothing is left that the newest load read, and its checkpoint may be too far."""
        plan, rewritten = self.plan, self.changes.rewritten_parts
        return self.changes.is_another_table or len(rewritten) == len(plan.parts) > 0

    @property
    def may_be_a_step(self) -> bool:
        """Whether a part of what is new can be read by itself, up to some value of the cursor."""
        is_plain = self.changes == ContractChanges(notes=self.changes.notes)
        is_by_cursor = self.plan.cursor is not None and not (self.whole or self.backfill)
        return is_plain and is_by_cursor and self.checkpoint_may_move and not self.starts_anew

    def other_parts(self) -> dict[Part, str]:
        """What holds rows that came unseen, each with the source's condition for these rows."""
        if self.whole or self.backfill:
            return {}
        found = dict.fromkeys(self.changes.new_parts, "true")
        if not self.plan.table.reads_row_versions:
            found |= dict.fromkeys(self.changes.rewritten_parts, self._written_since_the_newest())
        return {part: found[part.oid] for part in self.plan.parts if part.oid in found}

    def _written_since_the_newest(self) -> str:
        """What TRUNCATE or ALTER TABLE left was written then; VACUUM FULL keeps who wrote a row."""
        newest = next((load for load in reversed(self.effective) if not load.is_backfill), None)
        seen = newest.in_flight if newest else None
        if seen is None or not self.in_flight.continues(seen):
            return "true"
        return written_since(seen.oldest_unfinished, self.in_flight.next_number)

    @property
    def checkpoint_may_move(self) -> bool:
        """Not in a backfill, nor where nothing is known of when a prepared transaction began."""
        has_horizon = self.plan.cursor_kind != "number"
        return not self.backfill and not (has_horizon and self.in_flight.safe_until is None)


def next_start(plan: TablePlan, effective: list[Load], snapshot: Snapshot) -> CursorValue | None:
    """Where an ordinary load at this snapshot begins to read; None where it reads everything.

    For `cursor: xmin` that is the number of a transaction.
    """
    if plan.table.reads_row_versions:
        seen = _seen_row_versions(effective)
        is_known = seen is not None and in_flight_at(snapshot, seen).continues(seen)
        return seen.oldest_unfinished if seen and is_known else None
    kind, noted = plan.cursor_kind, checkpoint_after(effective)
    if kind is None or noted is None:
        return None
    checkpoint = int(noted) if kind == "number" else dt.datetime.fromisoformat(noted)
    in_flight = in_flight_at(snapshot, effective[-1].in_flight)
    return reading_start(
        as_cursor_value(checkpoint, kind),
        _horizon_of(plan, in_flight),
        plan.table.settings.lookback,
        plan.initial_value,
    )


def next_condition(plan: TablePlan, effective: list[Load], snapshot: Snapshot) -> str | None:
    """The source's condition for what an ordinary load would read now; None for all rows."""
    start = next_start(plan, effective, snapshot)
    if start is None:
        return None
    if isinstance(start, int) and plan.table.reads_row_versions:
        return written_since(start, in_flight_at(snapshot, None).next_number)
    return since_condition(plan, start) if plan.cursor else None


def _seen_row_versions(effective: list[Load]) -> OpenTransactions | None:
    """The transactions at the newest load, if that was read by row versions."""
    last = effective[-1] if effective else None
    known = last and last.read_as and last.read_as.cursor == ROW_VERSION
    return last.in_flight if last and known else None


def _horizon_of(plan: TablePlan, in_flight: OpenTransactions) -> CursorValue | None:
    cursor, kind, safe_until = plan.table.cursor, plan.cursor_kind, in_flight.safe_until
    if cursor is None or kind is None or safe_until is None:
        return None
    return horizon_for(kind, safe_until, cursor)


def loads_to_compare(
    plan: TablePlan, effective: list[Load], start: CursorValue | None
) -> list[Load]:
    """Which loads tell whether a row that is read from `start` on is new.

    Any run of newest loads is right: it holds a row's newest version, or none, and then the row is
    written once more. All, where everything is read.
    """
    if start is None:
        return effective
    if isinstance(start, int) and plan.table.reads_row_versions:
        return loads_that_saw(effective, start)
    return loads_since(effective, start)


def loads_since(effective: list[Load], start: CursorValue) -> list[Load]:
    """The run of newest loads that holds the current version of every row at or above `start`.

    It begins at the oldest load with such a row; all later ones belong to it, since any of them may
    hold a newer version of that row with a lower cursor. But rows that every load reads again,
    those without a cursor and those from the future, are looked for in recent loads only: else
    there would be ever more to look through.
    """
    floor = str(start).replace("T", " ")[:19]
    recent = len(effective) - _RECENT_LOADS
    for index, load in enumerate(effective):
        reaches = load.cursor_max is not None and _at_or_above(load.cursor_max, start, floor)
        is_of_the_window = reaches and (isinstance(start, int) or _is_taken_since(load, floor))
        if is_of_the_window or (index >= recent and (reaches or load.null_cursors)):
            return effective[index:]
    return []


def loads_that_saw(effective: list[Load], transaction: int) -> list[Load]:
    """The run of newest loads that may hold what this transaction or a later one wrote."""
    for index, load in enumerate(effective):
        if load.in_flight is None or load.in_flight.next_number > transaction:
            return effective[index:]
    return []


def _is_taken_since(load: Load, floor: str) -> bool:
    return load.snapshot_at.replace("T", " ") >= floor


def _at_or_above(cursor_max: str, start: CursorValue, floor: str) -> bool:
    if isinstance(start, int):
        return int(cursor_max) >= start
    # Years beyond 9999, BC and infinity don't sort as text; taking the load in is always right.
    return not cursor_max[:4].isdigit() or cursor_max[4] != "-" or cursor_max >= floor
