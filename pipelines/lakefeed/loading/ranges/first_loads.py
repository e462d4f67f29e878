"""Decides whether a table's first load is committed in ranges, and whether it may go on.

Pure functions over the plan, the commit log and the snapshot (docs/design/first-loads.md).
"""

from __future__ import annotations

import math

from lakefeed.loading.plan.read_contract import ReadContract, changes_since
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.sessions.transactions import OpenTransactions, in_flight_at
from lakefeed.source.snapshot import Snapshot

_CHANGES = {
    "cursor": "the cursor changed",
    "key": "the key changed",
    "where": "`where` changed",
    "initial_value": "`initial_value` changed",
    "columns": "the columns changed",
    "only": "`only` changed",
    "protected": "columns are protected in another way",
    "query": "`query` changed",
}


def can_be_in_ranges(plan: TablePlan) -> bool:
    """Whether ranges of the key, read one after another, and the cursor together find all rows."""
    return _why_at_once(plan) is None


def notes_of_resume_above(plan: TablePlan, snapshot: Snapshot) -> tuple[str, ...]:
    """What to tell of a `resume_above` that the table's own entry sets in vain."""
    why, table = _why_at_once(plan), plan.table
    if why is None and snapshot.conflicts is not None:
        why = "a standby doesn't tell which transactions of the primary are still open"
    is_meant = table.is_own("resume_above") and table.settings.resume_above_bytes is not None
    if why is None or not is_meant:
        return ()
    return (f"`resume_above` ({table.where_of('resume_above')}) has no effect: {why}",)


def _why_at_once(plan: TablePlan) -> str | None:
    """Why ranges of the key and the cursor don't find all rows together; None if they do.

    Without a horizon, nothing tells from where on the cursor leads to what changed meanwhile.
    """
    if plan.cursor_kind == "number":
        return "its cursor is a number, which doesn't tell when a row was written"
    if plan.cursor_kind is None and not plan.table.reads_row_versions:
        return "it has no cursor that goes on from the first range"
    if plan.initial_value is not None:
        return "it is read from `initial_value` on"
    if not plan.range_key:
        return "no unique index covers its key, with columns that are never null and not protected"
    return None if plan.has_places else "it isn't a table that stores rows itself"


def may_begin(plan: TablePlan, snapshot: Snapshot, size: int) -> bool:
    """Whether a first load at this snapshot is to be committed in ranges.

    On a standby it isn't: what the primary wrote before the horizon may arrive after it.

    Args:
        size: the table's bytes.
    """
    most = plan.table.settings.resume_above_bytes
    if most is None or size <= most or not can_be_in_ranges(plan):
        return False
    has_horizon = in_flight_at(snapshot, None).safe_until is not None
    return has_horizon and snapshot.conflicts is None


def count_of_ranges(plan: TablePlan, size: int) -> int:
    """About how many ranges a first load is committed in.

    Args:
        size: the table's bytes.
    """
    most = plan.table.settings.resume_above_bytes
    return math.ceil(size / most) if most else 1


def reason_to_start_over(
    plan: TablePlan, newest: Load, snapshot: Snapshot, *, full_refresh: bool
) -> str | None:
    """Why a first load can't go on after its newest range; None if it can.

    Added or rewritten partitions are no reason: the load that catches up reads their rows.
    """
    assert newest.range is not None
    before, now = newest.read_as, plan.read_as
    if full_refresh:
        return "a full refresh was asked for"
    changed = [] if before is None else [*_changes(before, now)]
    if changed:
        return ", ".join(changed)
    if not can_be_in_ranges(plan):
        return "its key or its cursor no longer allows ranges"
    in_flight: OpenTransactions = in_flight_at(snapshot, newest.range.began)
    if plan.table.reads_row_versions and not in_flight.continues(newest.range.began):
        return "the server was restored or replaced"
    return None


def _changes(before: ReadContract, now: ReadContract) -> list[str]:
    found = [text for name, text in _CHANGES.items() if getattr(before, name) != getattr(now, name)]
    changes = changes_since(before, now, shown="", reads_whole=False)
    if changes.is_another_table:
        found.append("the table was recreated or replaced")
    return found or list(changes.others)
