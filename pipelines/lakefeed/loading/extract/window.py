"""The window that a load reads, computed from plain data.

Loads, probes and audits all take it from `window_of`. It is derived from the load manifests in raw
alone. dlt's incremental state follows it and decides nothing, so a state that was lost or rolled
back neither skips rows nor reads them twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lakefeed.declaration.catalogue import Part
from lakefeed.declaration.models.table_settings import ROW_VERSION
from lakefeed.loading.plan.cursors import CursorValue, horizon_for, parsed_checkpoint, reading_start
from lakefeed.loading.plan.detached import Detached, detached_rows
from lakefeed.loading.plan.queries import since_condition, written_since
from lakefeed.loading.plan.read_contract import ContractChanges, changes_since
from lakefeed.loading.plan.table_plan import Range, TablePlan
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.transactions import OpenTransactions, in_flight_at
from lakefeed.source.log.lsn import parse_lsn
from lakefeed.source.snapshot import Snapshot

# Why a window starts at the beginning, or at `initial_value`; and what determines its start where
# it goes on from earlier loads.
Reason = Literal[
    "first load", "no checkpoint", "whole", "another table", "added column", "restored server",
    "rewritten table", "checkpoint", "safe horizon", "lookback", "initial value", "backfill",
]  # fmt: skip


@dataclass(frozen=True)
class Window:
    """Which rows a load reads.

    Attributes:
        start: the smallest cursor value read, inclusive; None to read from the beginning. With
            `cursor: xmin` and `cursor: wal`, the number of a transaction.
        end: the end of a backfill, exclusive; None for an open end.
        reasons: what determined the start, in the order in which it applied.
        checkpoint: the checkpoint that the window goes on from; None where earlier loads noted
            none for this cursor. Of a whole read it is noted, but not used.
        horizon: the safe horizon in the cursor's terms; None where there is no bound.
        next_transaction: with `cursor: xmin` and `cursor: wal`, the first transaction ID that the
            snapshot has not assigned; None for other cursors.
        parts: partitions to read besides, each with the source's condition for the rows to read.
    """

    start: CursorValue | None
    reasons: tuple[Reason, ...]
    end: CursorValue | None = None
    checkpoint: CursorValue | None = None
    horizon: CursorValue | None = None
    next_transaction: int | None = None
    parts: Mapping[Part, str] = field(default_factory=dict)

    @property
    def is_backfill(self) -> bool:
        """Whether it is a range that the user asked for."""
        return "backfill" in self.reasons

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole table, which supersedes earlier loads."""
        return "whole" in self.reasons

    def from_beginning(self, plan: TablePlan, reason: Reason) -> Window:
        """The same window, extended to all rows that the declaration allows."""
        return replace(self, start=plan.initial_value, reasons=_from_beginning(plan, reason))

    def reaching_back_to(self, value: CursorValue | None) -> Window:
        """The same window, extended to this cursor value."""
        if value is None or self.start is None:
            return self
        return replace(self, start=min(self.start, value))


def window_of(
    plan: TablePlan,
    effective: Sequence[Load],
    snapshot: Snapshot,
    changes: ContractChanges | None = None,
    *,
    whole: bool = False,
    backfill: Range | None = None,
) -> Window:
    """The window of the next load at this snapshot. A pure function: reads nothing.

    Args:
        effective: the loads that count, oldest first.
        changes: what changed since the newest of them; None for no change.
        whole: read the whole table, whatever the plan and the changes ask for.
        backfill: read this range alone, in the cursor's terms.
    """
    changes = changes or ContractChanges()
    in_flight = in_flight_at(snapshot, effective[-1].in_flight if effective else None)
    whole = whole or changes.whole or plan.table.mode == "full_refresh"
    if backfill:
        return Window(
            start=backfill.since,
            end=backfill.until,
            reasons=("backfill",),
            horizon=safe_horizon(plan, in_flight),
        )
    if plan.table.reads_log:
        return _log_window(effective, in_flight, changes, whole=whole)
    if plan.table.reads_row_versions:
        window = _row_version_window(effective, in_flight, changes, whole=whole)
    else:
        window = _cursor_window(plan, effective, in_flight, changes, whole=whole)
    return window if whole else replace(window, parts=_parts(plan, effective, in_flight, changes))


def changes_since_newest(
    plan: TablePlan, effective: Sequence[Load], *, full_refresh: bool = False
) -> ContractChanges:
    """What changed since the newest load, in the source or in sources.yaml."""
    return changes_since(
        effective[-1].read_as if effective else None,
        plan.read_as,
        shown=plan.table.shown,
        reads_whole=full_refresh or plan.table.mode == "full_refresh",
        loaded_before=_columns_of(effective),
        unread=plan.unread,
    )


def detached_by(plan: TablePlan, changes: ContractChanges) -> Detached | None:
    """The rows in raw of partitions that are no longer attached; None if there are none.

    Raises:
        TableFailed: they are to be kept, and can no longer be told from others.
    """
    return detached_rows(
        plan.table,
        plan.columns,
        left=changes.left,
        left_now=changes.left_now,
        attached=plan.partitions or (),
    )


def condition_of(plan: TablePlan, window: Window) -> str | None:
    """The source's condition for the rows that an open window's cursor leads to.

    None for all rows. Rows of `parts` aren't among them, and dlt itself bounds a backfill.
    """
    if window.start is None or window.is_backfill:
        return None
    if window.next_transaction is not None and isinstance(window.start, int):
        return written_since(window.start, window.next_transaction)
    return since_condition(plan, window.start) if plan.cursor else None


def safe_horizon(plan: TablePlan, in_flight: OpenTransactions) -> CursorValue | None:
    """How far the checkpoint may go, in the cursor's terms; None where there is no bound."""
    cursor, kind, safe_until = plan.table.cursor, plan.cursor_kind, in_flight.safe_until
    if cursor is None or kind is None or safe_until is None:
        return None
    return horizon_for(kind, safe_until, cursor)


def seen_row_versions(effective: Sequence[Load]) -> OpenTransactions | None:
    """The transactions in flight at the newest load, if `cursor: xmin` read it."""
    newest = effective[-1] if effective else None
    by_xmin = newest and newest.read_as and newest.read_as.cursor == ROW_VERSION
    return newest.in_flight if newest and by_xmin else None


def _cursor_window(
    plan: TablePlan,
    effective: Sequence[Load],
    in_flight: OpenTransactions,
    changes: ContractChanges,
    *,
    whole: bool,
) -> Window:
    checkpoint = _noted_checkpoint(plan, effective)
    horizon = safe_horizon(plan, in_flight)
    anew: Reason | None = None
    if whole:
        anew = "whole"
    elif checkpoint is None:
        anew = "no checkpoint" if effective else "first load"
    elif changes.is_another_table:
        anew = "another table"
    if anew or checkpoint is None:
        start, reasons = plan.initial_value, _from_beginning(plan, anew or "no checkpoint")
    else:
        start, reasons = _continued(plan, checkpoint, horizon)
    return Window(start=start, reasons=reasons, checkpoint=checkpoint, horizon=horizon)


def _continued(
    plan: TablePlan, checkpoint: CursorValue, horizon: CursorValue | None
) -> tuple[CursorValue | None, tuple[Reason, ...]]:
    lookback, floor = plan.table.settings.lookback, plan.initial_value
    start = reading_start(checkpoint, horizon, lookback, floor)
    applied: dict[Reason, bool] = {
        "checkpoint": True,
        "safe horizon": horizon is not None and min(horizon, checkpoint) != checkpoint,
        "lookback": bool(lookback),
        "initial value": floor is not None and start == floor,
    }
    return start, tuple(reason for reason, applies in applied.items() if applies)


def _row_version_window(
    effective: Sequence[Load],
    in_flight: OpenTransactions,
    changes: ContractChanges,
    *,
    whole: bool,
) -> Window:
    seen = seen_row_versions(effective)
    following = in_flight.next_number
    anew: Reason | None = None
    if whole:
        anew = "whole"
    elif changes.added:
        # A new column with a default changes rows without giving them new versions.
        anew = "added column"
    elif seen is None:
        anew = "no checkpoint" if effective else "first load"
    elif not in_flight.continues(seen):
        anew = "restored server"
    elif changes.is_another_table:
        anew = "another table"
    if anew or seen is None:
        return Window(None, (anew or "no checkpoint",), next_transaction=following)
    oldest = seen.oldest_unfinished
    return Window(oldest, ("checkpoint",), checkpoint=oldest, next_transaction=following)


def _log_window(
    effective: Sequence[Load],
    in_flight: OpenTransactions,
    changes: ContractChanges,
    *,
    whole: bool,
) -> Window:
    """The changes since the newest load, or the whole table, which supersedes earlier loads.

    Its start is the first transaction that the newest load may not have seen.
    """
    newest = effective[-1] if effective else None
    if whole or changes.is_another_table or newest is None or newest.checkpoint is None:
        return Window(None, ("whole" if newest else "first load",))
    start = newest.in_flight.oldest_unfinished if newest.in_flight else None
    reached, following = parse_lsn(newest.checkpoint), in_flight.next_number
    return Window(start, ("checkpoint",), checkpoint=reached, next_transaction=following)


def _from_beginning(plan: TablePlan, reason: Reason) -> tuple[Reason, ...]:
    return (reason,) if plan.initial_value is None else (reason, "initial value")


def _noted_checkpoint(plan: TablePlan, effective: Sequence[Load]) -> CursorValue | None:
    """Where earlier loads have come to, if every load since noted the same cursor."""
    if plan.cursor is None or plan.cursor_kind is None:
        return None
    for load in reversed(effective):
        if load.cursor != plan.cursor.recorded:
            return None
        if load.checkpoint is not None:
            return parsed_checkpoint(load.checkpoint, plan.cursor_kind)
    return None


def _parts(
    plan: TablePlan,
    effective: Sequence[Load],
    in_flight: OpenTransactions,
    changes: ContractChanges,
) -> dict[Part, str]:
    """Partitions with rows that the cursor may not lead to, each with the condition for them."""
    found = dict.fromkeys(changes.new_parts, "true")
    if not plan.table.reads_row_versions:
        since = _written_since_newest(effective, in_flight)
        found |= dict.fromkeys(changes.rewritten_parts, since)
    return {part: found[part.oid] for part in plan.parts if part.oid in found}


def _written_since_newest(effective: Sequence[Load], in_flight: OpenTransactions) -> str:
    """Rows left by TRUNCATE or ALTER TABLE were written then; VACUUM FULL keeps their `xmin`."""
    newest = next((load for load in reversed(effective) if not load.is_backfill), None)
    seen = newest.in_flight if newest else None
    if seen is None or not in_flight.continues(seen):
        return "true"
    return written_since(seen.oldest_unfinished, in_flight.next_number)


def _columns_of(effective: Sequence[Load]) -> set[str]:
    # Most loads share one read contract.
    distinct = {id(load.read_as): load.read_as for load in effective if load.read_as}
    return {name for read_as in distinct.values() for name in read_as.columns}
