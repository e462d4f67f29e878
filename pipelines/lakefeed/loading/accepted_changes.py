"""Schema changes since the newest load, which a load may have to refuse."""

from __future__ import annotations

from collections.abc import Sequence

from lakefeed.errors import TableFailed
from lakefeed.loading.extract.window import changes_since_newest
from lakefeed.loading.load_result import LoadOptions
from lakefeed.loading.plan.read_contract import ContractChanges
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.load_manifest import Load


def accepted_changes(
    plan: TablePlan, effective: Sequence[Load], options: LoadOptions
) -> ContractChanges:
    """What changed since the newest load, if a load with these options may go on.

    Raises:
        TableFailed: the table is frozen, or must be read whole although a range was requested.
    """
    shown = plan.table.shown
    changes = changes_since_newest(plan, effective, full_refresh=options.full_refresh)
    is_frozen = plan.table.settings.schema_changes == "freeze"
    if changes.others and is_frozen and not options.full_refresh:
        raise TableFailed(
            f"{shown} is frozen, but its columns changed: {'; '.join(changes.others)}",
            where=plan.table.where_of("schema_changes"),
            do="review the change, then accept it by reading the table whole: "
            f"lakefeed run --select {shown} --full-refresh",
        )
    if changes.whole and options.backfill:
        raise TableFailed(
            f"{shown} can't load a range: {'; '.join(changes.notes)}",
            where=plan.table.where,
            do=f"first: lakefeed run --select {shown}",
        )
    return changes
