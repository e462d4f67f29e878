"""Commits a table's first load in ranges of its key, so that one that was killed goes on.

All ranges of one run are read at its snapshot. Where earlier runs read some of them, an ordinary
load from the first snapshot's horizon follows, which makes the table whole
(docs/design/first-loads.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lakefeed.errors import TableFailed
from lakefeed.loading.extract.extraction import Extraction, ExtractionResult
from lakefeed.loading.extract.window import safe_horizon, window_of
from lakefeed.loading.load_result import LoadOptions
from lakefeed.loading.plan.queries import rows_query
from lakefeed.loading.plan.read_contract import ContractChanges
from lakefeed.loading.ranges.ctid_ranges import TableSize
from lakefeed.loading.ranges.first_loads import (
    can_be_in_ranges,
    may_begin,
    notes_of_resume_above,
    reason_to_start_over,
)
from lakefeed.loading.ranges.key_ranges import (
    Key,
    RangeOfLoad,
    RangeToRead,
    between,
    ranges_above,
    table_size,
)
from lakefeed.loading.raw.load_manifest import Load, effective, unfinished
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.loading.sessions.transactions import OpenTransactions, in_flight_at
from lakefeed.loading.workspace import HeldLock, Workspace, commit_pending, extract
from lakefeed.wording import counted

_UNKNOWN = TableSize(0, 0)


@dataclass(frozen=True)
class FirstLoad:
    """A first load that is, or isn't, committed in ranges.

    Attributes:
        began: the transactions in flight at the snapshot of the first range; None where it isn't.
        before: the load with the range before those that are left; None where none was read yet.
        table: the table's size.
        abandons: whether ranges that were committed no longer count.
        notes: messages for the user.
    """

    began: OpenTransactions | None = None
    before: Load | None = None
    table: TableSize = _UNKNOWN
    abandons: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_in_ranges(self) -> bool:
        return self.began is not None

    @property
    def above(self) -> Key | None:
        """The largest key that is read; None where none is."""
        return self.before.range.upper if self.before and self.before.range else None

    def split_into(self, ranges: Sequence[RangeToRead]) -> Iterator[RangeOfLoad]:
        """Each range that is left, after the same range."""
        assert self.began is not None
        done = self.before.range.number if self.before and self.before.range else 0
        for number, to_read in enumerate(ranges, done + 1):
            yield RangeOfLoad(
                to_read=to_read,
                number=number,
                of=done + len(ranges),
                table_size=self.table.size,
                before=self.before,
                began=self.began,
            )


@dataclass(frozen=True)
class RangesLoaded:
    """What came of the ranges that one run read.

    `is_whole`: the table is loaded, as of the run's snapshot. `note` is a message for the user.
    """

    results: tuple[ExtractionResult, ...]
    committed: tuple[Load, ...]
    is_whole: bool
    note: str


def plan_first_load(opened: TableSession, loads: Sequence[Load], options: LoadOptions) -> FirstLoad:
    """How the first load of a table goes on, or begins; nothing to do for a table that is loaded.

    Raises:
        TableFailed: a range of the cursor was asked for before the first load is complete.
    """
    plan, snapshot = opened.plan, opened.source.snapshot
    so_far = unfinished(loads)
    if effective(loads) or plan.table.mode == "full_refresh":
        return FirstLoad(abandons=bool(so_far))
    if so_far and options.backfill:
        raise TableFailed(
            f"{plan.table.shown} can't load a range yet: its first load is incomplete",
            where=plan.table.where,
            do=f"first: lakefeed run --select {plan.table.shown}",
        )
    why = (
        reason_to_start_over(plan, so_far[-1], snapshot, full_refresh=options.full_refresh)
        if so_far
        else None
    )
    if so_far and why is None:
        return _going_on(opened, so_far[-1])
    removal = "to remove what was read: lakefeed prune"
    notes = [f"its first load starts over: {why}; {removal}"] if why else []
    notes += notes_of_resume_above(plan, snapshot)
    begins = FirstLoad(abandons=bool(so_far), notes=tuple(notes))
    if options.backfill or options.steps or not can_be_in_ranges(plan):
        return begins
    table = table_size(opened.open(), plan)
    if not may_begin(plan, snapshot, table.size):
        return begins
    return replace(begins, began=in_flight_at(snapshot, None), table=table)


def load_ranges(
    workspace: Workspace, opened: TableSession, first_load: FirstLoad, lock: HeldLock
) -> RangesLoaded:
    """Reads the ranges that are left and commits each.

    Raises: whatever reading the table raises; the ranges before are committed.
    """
    plan, source, before = opened.plan, opened.source, first_load.before
    left = rows_query(plan, between(plan, first_load.above, None))
    ranges = ranges_above(opened.open(), plan, first_load.table, first_load.above)
    results, committed = [], []
    with source.progress.reading(plan.table.lake_name, left):
        for key_range in first_load.split_into(ranges):
            source.progress.now_at(plan.table.lake_name, key_range.shown)
            with _saying_how_far(opened, before):
                one = replace(key_range, before=before)
                extraction = _extraction(workspace, opened, one, abandons=first_load.abandons)
                results.append(extract(workspace, extraction))
                opened.close()
                lock.assert_held()
                committed += commit_pending(workspace)
            before = committed[-1]
    assert before is not None
    assert before.range is not None
    is_whole = before.range.began.snapshot_at == source.snapshot.taken_at.isoformat()
    note = f"its first load was committed in {counted(before.range.of, 'range')}"
    return RangesLoaded(tuple(results), tuple(committed), is_whole, note)


def _going_on(opened: TableSession, newest: Load) -> FirstLoad:
    assert newest.range is not None
    return FirstLoad(
        began=newest.range.began,
        before=newest,
        table=table_size(opened.open(), opened.plan),
        notes=(f"its first load goes on after {newest.range.shown}",),
    )


@contextmanager
def _saying_how_far(opened: TableSession, before: Load | None) -> Iterator[None]:
    """Says which ranges are committed where reading the next one fails."""
    try:
        yield
    except Exception:
        if before and before.range:
            shown = opened.plan.table.shown
            opened.source.warn(f"{shown}: its first load will go on after {before.range.shown}")
        raise


def _extraction(
    workspace: Workspace, opened: TableSession, key_range: RangeOfLoad, *, abandons: bool
) -> Extraction:
    plan, source = opened.plan, opened.source
    window = window_of(plan, (), source.snapshot)
    return Extraction(
        source=source,
        session=opened.open(),
        plan=plan,
        log=workspace.log,
        effective=(),
        changes=ContractChanges(),
        window=replace(window, horizon=safe_horizon(plan, key_range.began)),
        allow_shrink=False,
        spool=workspace.spool,
        key_range=key_range,
        abandons_ranges=abandons and key_range.before is None,
    )
