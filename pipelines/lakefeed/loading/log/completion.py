"""Completes the changes of a table by what PostgreSQL's log leaves out.

The log doesn't repeat what it needn't: an update lacks values that are stored apart
(TOAST) and didn't change, a delete has only the key, and a truncate has no rows. What is missing is
taken from the version before: an earlier change of the row, or its newest version in raw.
"""

from __future__ import annotations

from collections.abc import Sequence

from lakefeed.loading.log.changes import CHANGES, ENDS, PLACE, TRUNCATES, count_of
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.equality import named_key, names_of_key, same_key
from lakefeed.sql import literal, quote

_KEYS = "log_keys"
_BEFORE = "log_before"
_FILLED = "log_filled"


def complete_changes(session: SourceSession, plan: TablePlan, latest: LatestRows) -> None:
    """Fills in what the log leaves out, and has each truncate remove the rows that existed.

    Args:
        latest: the latest rows in raw, of all loads that count.
    """
    for place in session.execute(f"from {TRUNCATES} order by all").fetchall():
        _remove_all_before(session, plan, latest, place)
    while _fill(session, plan, latest):
        _resolve_moves(session, plan)


def _remove_all_before(
    session: SourceSession, plan: TablePlan, latest: LatestRows, place: Sequence[object]
) -> None:
    """Adds a tombstone for every row that existed right before a truncate."""
    lsn, position, committed_at = place
    keys = ", ".join(names_of_key(plan.key_columns))
    columns = ", ".join(quote(column.name) for column in plan.key_columns)
    in_raw = (
        f"select {columns}, {named_key(plan.key_columns)}, 0 as lsn, 0 as position, "
        f"false as is_gone from ({latest.newest_rows(session, plan)})"
        if latest
        else f"select {columns}, {keys}, lsn, position, false as is_gone from {CHANGES} limit 0"
    )
    session.execute(
        f"insert into {CHANGES} by name select {columns}, {keys}, {lsn} as lsn, "
        f"{position} as position, $committed_at as committed_at, 'truncate' as operation, "
        f"{_names(plan)} as unchanged, false as moved from ("
        f"({in_raw}) union all by name select {columns}, {keys}, {PLACE}, "
        f"operation in {ENDS} as is_gone from {CHANGES} where ({PLACE}) < ({lsn}, {position})"
        f") qualify row_number() over (partition by {keys} order by lsn desc, position desc) = 1 "
        "and not is_gone",
        {"committed_at": committed_at},
    )


def _fill(session: SourceSession, plan: TablePlan, latest: LatestRows) -> bool:
    """Fills unchanged columns from the versions before; returns whether rows that moved remain.

    Leaves what it computed for all of them in `_FILLED`, and takes it over where none remains.
    """
    found = session.execute(
        f"select list(distinct name) from (select unnest(unchanged) as name from {CHANGES})"
    ).fetchall()[0][0]
    if not found:
        return False
    listed = ", ".join(quote(column.name) for column in plan.key_columns)
    session.execute(
        f"create or replace temp table {_KEYS} as "
        f"select distinct {listed} from {CHANGES} where unchanged is not null"
    )
    before = f"select * from {CHANGES} limit 0"
    if latest:
        before = (
            f"select *, {named_key(plan.key_columns)}, 0::bigint as lsn, 0::bigint as position "
            f"from ({latest.newest_rows(session, plan, among=_KEYS)})"
        )
    session.execute(f"create or replace temp table {_BEFORE} as {before}")
    keys = ", ".join(names_of_key(plan.key_columns))
    filled = ", ".join(
        f"case when {_lacks(name)} then (last_value(case when not {_lacks(name)} "
        f"then {{'value': {quote(name)}}} end ignore nulls) over versions).value "
        f"else {quote(name)} end as {quote(name)}"
        for name in found
    )
    of_keys = f"{CHANGES} semi join {_KEYS} on {same_key(plan.key_columns, CHANGES, _KEYS)}"
    session.execute(
        f"create or replace temp table {_FILLED} as select * replace ({filled}) from "
        f"(from {_BEFORE} union all by name from {of_keys}) "
        f"window versions as (partition by {keys} order by {PLACE} "
        "rows between unbounded preceding and current row) "
        f"qualify lsn > 0"
    )
    if count_of(session, f"{CHANGES} where moved and unchanged is not null"):
        return True
    session.execute(
        f"create or replace temp table {CHANGES} as "
        f"from {CHANGES} anti join {_KEYS} on {same_key(plan.key_columns, CHANGES, _KEYS)} "
        f"union all by name from {_FILLED}"
    )
    return False


def _resolve_moves(session: SourceSession, plan: TablePlan) -> None:
    """Gives rows with a new key what the tombstones of their old keys were filled with.

    Only those whose old key has no earlier row that waits as well: the first always has none.
    """
    names = names_of_key(plan.key_columns)
    same = " and ".join(f"waiting.{name} = ended.{name}" for name in names)
    taken = ", ".join(
        f"{quote(column.name)} = case when list_contains({CHANGES}.unchanged, "
        f"{literal(column.name)}) then ended.{quote(column.name)} "
        f"else {CHANGES}.{quote(column.name)} end"
        for column in plan.columns
    )
    session.execute(
        f"update {CHANGES} set {taken}, unchanged = null from {_FILLED} as ended "
        f"where {CHANGES}.moved and {CHANGES}.unchanged is not null "
        f"and ended.lsn = {CHANGES}.lsn and ended.position = {CHANGES}.position - 1 "
        f"and not exists (select 1 from {_FILLED} as waiting where waiting.moved "
        f"and waiting.unchanged is not null and {same} "
        "and (waiting.lsn, waiting.position) < (ended.lsn, ended.position))"
    )


def _lacks(name: str) -> str:
    return f"coalesce(list_contains(unchanged, {literal(name)}), false)"


def _names(plan: TablePlan) -> str:
    """The names of all columns outside the key, as a list."""
    names = [literal(column.name) for column in plan.columns if column.name not in plan.key]
    return f"[{', '.join(names)}]::varchar[]"
