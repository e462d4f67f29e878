"""Which rows of a table the log changes that no load has read yet: an audit leaves them out."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from lakefeed.loading.log.changes import (
    ChangesToApply,
    count_of,
    decoded_rows,
    new_changes,
    refuse_rewound,
    unstorable,
)
from lakefeed.loading.log.values import is_visible
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.transactions import in_flight_at
from lakefeed.source.inspection.equality import same_key
from lakefeed.source.snapshot import Snapshot
from lakefeed.sql import quote

_UNREAD = "log_unread"


@dataclass(frozen=True)
class Unread:
    """What the next load reads from the log, as conditions on a relation named `rows`.

    Attributes:
        in_source: for rows of the source.
        in_staging: for rows of staging, which a truncate removes all at once.
    """

    in_source: str
    in_staging: str


def take_unread(
    session: SourceSession, plan: TablePlan, changes: ChangesToApply, snapshot: Snapshot
) -> Unread:
    """Takes the keys of rows with new changes into the session's DuckDB.

    Args:
        snapshot: changes that it doesn't show are left out, where the server can tell.

    Raises:
        TableFailed: a value can't be stored exactly, or the server was restored meanwhile.
    """
    refuse_rewound(session, plan, changes)
    # What a standby replayed while the snapshot was taken, it may show or not.
    shown = "true" if snapshot.replayed else is_visible(in_flight_at(snapshot, None))
    shown = f"(from {new_changes(changes)} where {shown})"
    keys = ", ".join(quote(name) for name in plan.key)
    try:
        session.execute(
            f"create or replace temp table {_UNREAD} as "
            f"select distinct {keys} from {decoded_rows(plan, shown)}"
        )
    except duckdb.Error as error:
        raise unstorable(plan, error) from None
    same = same_key(plan.key_columns, _UNREAD, "rows")
    is_changed = f"exists (select 1 from {_UNREAD} where {same})"
    is_truncated = count_of(session, f"{shown} where operation = 'truncate'") > 0
    return Unread(is_changed, "true" if is_truncated else is_changed)
