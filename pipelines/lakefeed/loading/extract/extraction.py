"""One extraction as plain data: what it is given, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lakefeed.declaration.catalogue import Part
from lakefeed.loading.extract.reader import Reading
from lakefeed.loading.extract.window import Window, detached_by, seen_row_versions
from lakefeed.loading.log.changes import ChangesToApply, LogOfTable
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.detached import Detached
from lakefeed.loading.plan.read_contract import ContractChanges, ReadContract
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.ranges.key_ranges import RangeOfLoad
from lakefeed.loading.ranges.steps import Step, Steps
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.transactions import OpenTransactions, in_flight_at
from lakefeed.source.log.lsn import lsn_text
from lakefeed.source.snapshot import Snapshot


@dataclass(frozen=True)
class Extraction:
    """What one extraction is given.

    Attributes:
        session: the transaction that reads the table.
        effective: the loads that count, oldest first.
        changes: what changed since the newest of them.
        window: which rows to read.
        spool: the folder for files in progress.
        steps: read the window in steps, where that is sound; None to read it at once.
        key_range: the only range of the key to read, of a first load that is committed in ranges.
        abandons_ranges: supersede the ranges of a first load that starts over.
        source_log: what the load takes from the source's log, or where the log goes on after a read
            of the whole table; None where the table isn't read by the log.
    """

    source: SourceAtSnapshot
    session: SourceSession
    plan: TablePlan
    log: CommitLog
    effective: tuple[Load, ...]
    changes: ContractChanges
    window: Window
    allow_shrink: bool
    spool: Path
    steps: Steps | None = None
    key_range: RangeOfLoad | None = None
    abandons_ranges: bool = False
    source_log: LogOfTable | None = None

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that all tables of the source are read at."""
        return self.source.snapshot

    @cached_property
    def in_flight(self) -> OpenTransactions:
        """The transactions in flight at the snapshot; for a range, at that of the first range."""
        if self.key_range:
            return self.key_range.began
        newest = self.effective[-1].in_flight if self.effective else None
        found = in_flight_at(self.snapshot, newest)
        return replace(found, written=lsn_text(self.source_log.end)) if self.source_log else found

    @cached_property
    def detached(self) -> Detached | None:
        """The rows in raw of partitions that are no longer attached; None if there are none.

        Raises:
            TableFailed: they are to be kept, and can no longer be told from others.
        """
        return detached_by(self.plan, self.changes)

    @property
    def key_before(self) -> tuple[str, ...]:
        """The key by which the newest load was read."""
        newest = self.effective[-1].read_as if self.effective else None
        return newest.key if newest else ()

    @property
    def read_as(self) -> ReadContract:
        """What to note with this load or, if it brings no news, with the newest one.

        A backfill tells nothing about parts that were added, rewritten or detached. Neither do a
        first load's ranges after the first one: the load that catches up finds such parts.
        """
        if self.key_range and self.key_range.before and self.key_range.before.read_as:
            return self.key_range.before.read_as
        now, changes = self.plan.read_as, self.changes
        before = self.effective[-1].read_as if self.effective else None
        if self.window.is_backfill and before:
            return replace(
                now,
                identity=before.identity,
                parts=before.parts,
                partitions=before.partitions,
                detached=before.detached,
            )
        ignores = not (self.plan.watches_deletes or self.window.is_whole)
        keeps = ignores or self.plan.table.settings.on_detach == "keep"
        return replace(now, detached=changes.left) if keeps else now

    @property
    def has_other_contract(self) -> bool:
        """Whether the newest load's cursor or key no longer applies.

        The load is then written even without rows. Staging was built with another key, so it is
        written even if raw holds the same rows.
        """
        newest = self.effective[-1] if self.effective else None
        if newest is None or newest.read_as is None:
            return False
        before, now = newest.read_as, self.plan.read_as
        return before.cursor != now.cursor or before.key != now.key or self._was_restored

    @property
    def changes_of_log(self) -> ChangesToApply | None:
        """The changes to load from the source's log; None where the table itself is read."""
        return self.source_log.changes if self.source_log else None

    @property
    def new_parts(self) -> list[Part]:
        """The parts of the table that were added since the newest load."""
        return [part for part in self.plan.parts if part.oid in self.changes.new_parts]

    @property
    def is_load_anyway(self) -> bool:
        """Whether the load is written whatever it finds.

        A read of the whole table that the log goes on from is, since it notes which transactions it
        shows.
        """
        begins_in_log = self.source_log is not None and self.source_log.changes is None
        return self.has_other_contract or self.key_range is not None or begins_in_log

    @property
    def has_other_storage(self) -> bool:
        """Whether no storage is left that the newest load read: its checkpoint may be too high."""
        plan, rewritten = self.plan, self.changes.rewritten_parts
        return self.changes.is_another_table or len(rewritten) == len(plan.parts) > 0

    @property
    def may_be_a_step(self) -> bool:
        """Whether part of the new rows can be read by itself, up to some value of the cursor."""
        changes = self.changes
        is_plain = changes == ContractChanges(notes=changes.notes, left=changes.left)
        is_by_cursor = self.plan.cursor is not None and not self.window.is_whole
        return (
            is_plain and is_by_cursor and self.checkpoint_may_move and not self.has_other_contract
        )

    @property
    def checkpoint_may_move(self) -> bool:
        """False in a backfill, and where the start of a prepared transaction is unknown."""
        has_horizon = self.plan.cursor_kind != "number" and not self.plan.table.reads_log
        is_unknown = has_horizon and self.in_flight.safe_until is None
        return not self.window.is_backfill and not is_unknown

    @property
    def _was_restored(self) -> bool:
        """Whether the server no longer continues the transaction IDs of the newest load."""
        seen = seen_row_versions(self.effective)
        if seen is None or not self.plan.table.reads_row_versions:
            return False
        return not self.in_flight.continues(seen)


@dataclass(frozen=True)
class ExtractionResult:
    """What came of one extraction.

    Attributes:
        is_load: whether there is something to commit.
        checkpoint: where the load has come to; None where it leaves the checkpoint alone.
        notes: messages for the user.
        step: the step that was read, where more remain; None where this was all.
    """

    reading: Reading
    is_load: bool
    checkpoint_before: CursorValue | None
    checkpoint: CursorValue | None
    notes: tuple[str, ...]
    step: Step | None
