"""The log of one source in one run: held, decoded once when a table first needs it, and advanced.

    slot held -> position noted -> snapshot -> decoded up to a position after it
              -> each table committed -> positions noted in raw -> slot advanced

A run that is killed anywhere leaves the slot where it was, so that the next one decodes the same
again; what tables have come to by then is skipped (docs/design/reading-the-log.md).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from threading import Lock

from psycopg2 import Error as PgError

from lakefeed.errors import LakefeedError, TableFailed
from lakefeed.interruption import raise_if_interrupted
from lakefeed.loading.log.changes import ChangesToApply, LogOfTable
from lakefeed.loading.log.decoding import TableDecoder, decoders_of, relations_of, widened
from lakefeed.loading.log.held_slot import (
    HeldSlot,
    clock_of,
    end_of_log,
    open_transactions,
)
from lakefeed.loading.log.kept import Kept
from lakefeed.loading.log.positions import (
    FirstSeen,
    Position,
    Positions,
    has_read_log,
    noted_at,
    read_positions,
    unless_noted,
    write_positions,
)
from lakefeed.loading.log.standing import (
    Standing,
    cannot_go_on,
    refuse_slot_of_others,
    refuse_unpublished_changes,
)
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.read_progress import ReadProgress
from lakefeed.loading.sessions.spill_folders import own_folder
from lakefeed.source.log.lsn import lsn_text
from lakefeed.source.log.messages import Begin
from lakefeed.source.log.rows import Change
from lakefeed.source.log.slots import advance
from lakefeed.source.snapshot import Snapshot
from lakefeed.wording import data_size

# A run reads so much of the log at most, and leaves the rest to the next one, so that a backlog of
# any size shrinks with every run.
MOST_BYTES = 8 * 1024**3
_NOTE = "the log of all tables"


@contextmanager
def run_log(
    held: HeldSlot,
    snapshot: Snapshot,
    plans: Sequence[TablePlan],
    spill: Path,
    *,
    has_all: bool = False,
    progress: ReadProgress | None = None,
) -> Iterator[RunLog]:
    """What the tables of a source take from its log; what was spooled goes with the block.

    Args:
        snapshot: the run's; the log is decoded up to a position after it.
        plans: the tables that are read by the log.
        spill: where to spool what is decoded.
        has_all: decode all that the snapshot shows, and wait until it is flushed.
        progress: is told while it is decoded; None for nobody.
    """
    end = end_of_log(held.session, has_all=has_all)
    folder = own_folder(spill)
    log = RunLog(held, snapshot, plans, folder, end=end, progress=progress or ReadProgress())
    try:
        yield log
    finally:
        log.close()


class RunLog:
    """What one run takes from a source's log for its tables. Safe to use in several threads."""

    def __init__(
        self,
        held: HeldSlot,
        snapshot: Snapshot,
        plans: Sequence[TablePlan],
        folder: Path,
        *,
        end: int,
        progress: ReadProgress,
    ) -> None:
        self._held = held
        self._snapshot = snapshot
        self._plans = {plan.table.lake_name: plan for plan in plans}
        self._folder = folder
        self._progress = progress
        noted = read_positions(held.project.raw, held.connection.source)
        self._noted, self._published = dict(noted.tables), noted.published
        self._came_to: dict[str, Position] = {}
        self._end, self._at = end, clock_of(held.session).isoformat()
        self._standing = Standing(held, snapshot, self._noted, self._end)
        # Where decoding ended: before the end of the log where a backlog is left to the next run.
        self._upto, self._leaves_more = self._end, False
        self._decoders: dict[str, TableDecoder] | None = None
        self._failure: LakefeedError | None = None
        self._decoding = Lock()
        # Where transactions were committed that other sessions may not see yet, by their numbers.
        self._recent: dict[int, int] = {}

    def log_of(self, plan: TablePlan, effective: Sequence[Load], *, whole: bool) -> LogOfTable:
        """What a load of a table takes from the log.

        Args:
            effective: the loads that count, oldest first.
            whole: the table itself is read, at the run's snapshot.

        Raises:
            TableFailed: the log no longer has what came after the table's latest load.
            LakefeedError: the log can't be read.
        """
        if whole:
            begins_at = self._standing.slot_for(plan, effective).begins_at
            if self._is_new_here:
                refuse_slot_of_others(plan, self._held)
            self._note_published()
            refuse_unpublished_changes(plan, effective, self._held, self._snapshot)
            return LogOfTable(reaches=begins_at, changes=None, end=self._end_of_all)
        after = self._standing.position_of(plan, effective)
        decoder = self._decoded(plan)[plan.table.lake_name]
        seen = effective[0].in_flight
        assert seen is not None
        keyless = decoder.keyless.items()
        if any(lsn >= after and not seen.shows_commit(xid, lsn) for xid, lsn in keyless):
            raise cannot_go_on(
                plan,
                "it has a change without the row's key: the table's key or its replica identity "
                "was another one",
            )
        since = noted_at(effective, self._noted.get(plan.table.lake_name))
        changes = ChangesToApply(decoder.files.readable_files(), after, seen, since)
        truncated = decoder.has_truncate
        return LogOfTable(max(after, self._upto), changes, self._end, has_truncate=truncated)

    def unread_of(self, plan: TablePlan, effective: Sequence[Load]) -> ChangesToApply:
        """What the log has of a table since its latest load; the slot stays where it is.

        Raises:
            TableFailed: the log no longer has that, or too much of it.
            LakefeedError: the log can't be read.
        """
        changes = self.log_of(plan, effective, whole=False).changes
        assert changes is not None
        if self._leaves_more:
            most = data_size(MOST_BYTES)
            raise TableFailed(
                f"the log has more than {most} since {plan.table.shown} was loaded",
                where=plan.table.where_of("cursor"),
                do=f"load it first: lakefeed run --select {plan.table.shown}",
            )
        return changes

    def has_nothing_for(self, plan: TablePlan, effective: Sequence[Load]) -> bool:
        """Whether the log has no change of a table since its latest load: it has come to its end.

        Raises: as `log_of`.
        """
        position = self._standing.position_of(plan, effective)
        if self._decoded(plan)[plan.table.lake_name].has_changes:
            return False
        reached = lsn_text(max(position, self._upto))
        self._note(plan, effective[-1].load_id, reached)
        return True

    def came_to(self, plan: TablePlan, newest: str, log: LogOfTable) -> None:
        """A table's changes are in raw, up to where the log was read.

        Args:
            newest: the ID of its newest load.
        """
        self._note(plan, newest, lsn_text(log.reaches))

    def advance(self) -> list[str]:
        """Notes how far the tables have come, and advances the slot to the least of them.

        Returns: messages for the user.
        """
        slot, held = self._held.slot, self._held
        if slot is None or not self._came_to:
            return []
        noted = self._noted | self._came_to
        if noted != self._noted:
            self._write(noted)
        tables = [plan.table for plan in self._plans.values()]
        kept = Kept(held, slot, noted, self._end)
        messages, target = kept.target(tables, loaded=self._came_to.keys())
        try:
            target = self._before_unseen(target)
            if target > slot.begins_at:
                advance(held.session, held.name, target)
        except (PgError, LakefeedError) as error:
            # All is committed: the next run decodes the same again, and skips it.
            reason = str(error).splitlines()[0]
            messages.append(f"the slot `{held.name}` couldn't be advanced: {reason}")
        return messages

    def close(self) -> None:
        """Removes what was spooled."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, tables: dict[str, Position]) -> None:
        held = self._held
        noted = Positions(held.name, tables, self._published)
        write_positions(held.project.raw, held.connection.source, noted)

    def _note_published(self) -> None:
        """Notes when the publication was first seen as it is, for the next run to wait for no
        transactions but those of before."""
        held = self._held
        if held.since and (not self._published or self._published.key != held.since.key):
            self._published = FirstSeen(held.since.key, held.following)
            self._write(self._noted)

    def _note(self, plan: TablePlan, newest: str, reached: str) -> None:
        name = plan.table.lake_name
        position = Position(newest, reached, self._snapshot.history, self._at)
        self._came_to[name] = unless_noted(position, self._noted.get(name))

    def _decoded(self, first: TablePlan) -> dict[str, TableDecoder]:
        with self._decoding:
            if self._failure:
                raise self._failure
            if self._decoders is None:
                try:
                    self._decoders = self._decode(first.table.lake_name)
                except LakefeedError as error:
                    self._failure = error
                    raise
            return self._decoders

    def _decode(self, lake_name: str) -> dict[str, TableDecoder]:
        plans = list(self._plans.values())
        decoders, tables = decoders_of(plans, self._folder), relations_of(plans)
        slot, held = self._held.slot, self._held
        assert slot is not None
        if slot.begins_at >= self._end:
            return decoders
        oldest = int(self._snapshot.transactions.split(":")[0])
        opened = held.changes(
            tables.keys(), upto=self._end, most_bytes=MOST_BYTES, folder=self._folder
        )
        far, size = partial(opened.since, slot.begins_at), self._end - slot.begins_at
        with opened as items, self._progress.reading_log(lake_name, _NOTE, far, size):
            xid, begin, position = 0, None, 1
            for item in items:
                if isinstance(item, Change):
                    assert begin is not None
                    for name in tables.get(item.relation.oid, ()):
                        position = decoders[name].add((xid, begin), position, item)
                elif isinstance(item, Begin):
                    raise_if_interrupted()
                    xid, begin, position = widened(item.xid, oldest), item, 1
                    if xid >= oldest:
                        self._recent[xid] = item.commit_lsn
            self._upto, self._leaves_more = min(self._end, items.position), items.leaves_more
        for decoder in decoders.values():
            decoder.files.finish()
        return decoders

    @cached_property
    def _end_of_all(self) -> int:
        """A position after all that the snapshot shows: what raw has must outlast a crash."""
        return end_of_log(self._held.session, has_all=True)

    @cached_property
    def _is_new_here(self) -> bool:
        """Whether this project has never read the log of the source before."""
        return not has_read_log(self._held.project, self._held.connection.source)

    def _before_unseen(self, target: int) -> int:
        """A position before all decoded commits that sessions can't see yet.

        A commit that waits for a synchronous standby is in the log before a snapshot shows it. A
        table that is read at such a snapshot needs the log to have it.
        """
        unseen = open_transactions(self._held.session)
        return min([target, *(self._recent[xid] for xid in unseen if xid in self._recent)])
