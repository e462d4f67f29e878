"""Turns decoded changes of a table into row versions with exact values, in the session's DuckDB.

PostgreSQL's log doesn't repeat what it needn't: an update lacks values that are stored apart
(TOAST) and didn't change, a delete has only the key, and a truncate has no rows. What is missing is
taken from the version before: an earlier change of the row, or its newest version in raw.

The temporary table CHANGES has the plan's columns, the row's key as in `named_key`, and:

    lsn, position    the place of the change in the log; rows that one truncate removes share theirs
    committed_at     when its transaction was committed
    operation        insert, update, delete or truncate
    unchanged        the columns whose values are still those of the version before; null for none
    moved            whether an update changed the key: the delete of the old key comes right before
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lakefeed.errors import TableFailed
from lakefeed.loading.log.spool import value_name
from lakefeed.loading.log.values import is_visible, parsed
from lakefeed.loading.plan.column_names import DELETED_AT, WAL_COLUMNS
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.transactions import OpenTransactions
from lakefeed.source.inspection.equality import named_key, names_of_key, same_key
from lakefeed.sql import file_literal, literal, quote

CHANGES = "log_changes"
_TRUNCATES = "log_truncates"
_KEYS = "log_keys"
_BEFORE = "log_before"
_FILLED = "log_filled"
_ENDS = "('delete', 'truncate')"
_PLACE = "lsn, position"


@dataclass(frozen=True)
class ChangesToApply:
    """What was decoded of a table, and which of it is new to it.

    Attributes:
        files: the spooled changes.
        after: the position that the table has come to: commits that begin there or later are new.
        seen: the transactions in flight at the snapshot of the newest load of the whole table. What
            that snapshot shows was loaded with it.
    """

    files: tuple[Path, ...]
    after: int
    seen: OpenTransactions


@dataclass(frozen=True)
class LogOfTable:
    """What a load takes from the log: changes, or nothing where it reads the whole table.

    Attributes:
        reaches: the position that the table has come to with the load.
    """

    reaches: int
    changes: ChangesToApply | None


def take_changes(session: SourceSession, plan: TablePlan, changes: ChangesToApply) -> int:
    """Creates CHANGES with the new changes, as far as the log tells them; returns their number.

    Raises:
        TableFailed: a value can't be stored exactly.
    """
    paths = ", ".join(map(file_literal, changes.files))
    decoded = f"read_parquet([{paths}], hive_partitioning = false)"
    is_new = f"lsn >= {changes.after} and not ({is_visible(changes.seen)})"
    values = [
        f"{parsed(column, value_name(number))} as {quote(column.name)}"
        for number, column in enumerate(plan.columns)
    ]
    session.execute(
        f"create or replace temp table {_TRUNCATES} as select {_PLACE}, committed_at "
        f"from {decoded} where operation = 'truncate' and {is_new}"
    )
    try:
        session.execute(
            f"create or replace temp table {CHANGES} as "
            f"select *, {named_key(plan.key_columns)} from ("
            f"select {', '.join(values)}, {_PLACE}, committed_at, operation, unchanged, moved "
            f"from {decoded} where operation <> 'truncate' and {is_new})"
        )
    except (duckdb.ConversionException, duckdb.InvalidInputException) as error:
        raise TableFailed(
            f"{plan.table.shown} has a change that can't be stored exactly: "
            + str(error).splitlines()[0],
            where=plan.table.where,
            do="exclude the column, or give it a type that holds all of its values",
        ) from None
    return _count(session, CHANGES) + _count(session, _TRUNCATES)


def complete_changes(session: SourceSession, plan: TablePlan, latest: LatestRows) -> None:
    """Fills in what the log leaves out, and has each truncate remove the rows that existed.

    Args:
        latest: the latest rows in raw, of all loads that count.
    """
    for place in session.execute(f"from {_TRUNCATES} order by all").fetchall():
        _remove_all_before(session, plan, latest, place)
    while _fill(session, plan, latest):
        _resolve_moves(session, plan)


def add_unknown(session: SourceSession, plan: TablePlan, latest: LatestRows, rows: str) -> int:
    """Adds those of these rows that neither raw nor the changes know; returns their number.

    Args:
        rows: a from-clause item, with the plan's columns; it is read once.
    """
    keys = ", ".join(names_of_key(plan.key_columns))
    known = f"select {keys} from {CHANGES}"
    if latest:
        in_raw = f"({latest.newest_rows(session, plan)})"
        known += f" union all select {named_key(plan.key_columns)} from {in_raw}"
    return session.changed_rows(
        f"insert into {CHANGES} by name select *, false as moved from "
        f"(select *, {named_key(plan.key_columns)} from {rows}) "
        f"anti join ({known}) using ({keys})",
    )


def rows_written(plan: TablePlan) -> str:
    """A query for the inserted and updated versions, as raw has them, and rows that were read."""
    return _versions(plan, f"operation is null or operation not in {_ENDS}")


def rows_deleted(plan: TablePlan) -> str:
    """A query for the tombstones, as raw has them."""
    selected, source = _versions(plan, f"operation in {_ENDS}").split(" from ", 1)
    return f"{selected}, committed_at as {DELETED_AT} from {source}"


def count_deleted(session: SourceSession) -> int:
    """The number of tombstones."""
    return _count(session, f"{CHANGES} where operation in {_ENDS}")


def count_alive(
    session: SourceSession, plan: TablePlan, latest: LatestRows
) -> tuple[int, int, int]:
    """How many rows raw has, how many of them are gone after the changes, how many remain."""
    keys = ", ".join(names_of_key(plan.key_columns))
    before = f"(select {named_key(plan.key_columns)} from ({latest.newest_rows(session, plan)}))"
    newest = (
        f"(select {keys}, arg_max(operation in {_ENDS}, ({_PLACE})) as is_gone from {CHANGES} "
        f"group by {keys})"
    )
    found = session.execute(
        f"select count(*) filter (is_before), count(*) filter (is_before and is_gone), "
        f"count(*) filter (not coalesce(is_gone, false)) from "
        f"(select *, true as is_before from {before}) full join {newest} using ({keys})"
    ).fetchall()[0]
    return int(found[0]), int(found[1]), int(found[2])


def _versions(plan: TablePlan, condition: str) -> str:
    columns = ", ".join(quote(column.name) for column in plan.columns)
    values = (*_PLACE.split(", "), "committed_at", "operation")
    of_log = ", ".join(f"{v} as {n}" for v, n in zip(values, WAL_COLUMNS, strict=True))
    return f"select {columns}, {of_log} from {CHANGES} where {condition}"


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
        f"({in_raw}) union all by name select {columns}, {keys}, {_PLACE}, "
        f"operation in {_ENDS} as is_gone from {CHANGES} where ({_PLACE}) < ({lsn}, {position})"
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
        f"window versions as (partition by {keys} order by {_PLACE} "
        "rows between unbounded preceding and current row) "
        f"qualify lsn > 0"
    )
    if _count(session, f"{CHANGES} where moved and unchanged is not null"):
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


def _count(session: SourceSession, relation: str) -> int:
    return int(session.execute(f"select count(*) from {relation}").fetchall()[0][0])
