"""Takes the decoded changes of a table into the session's DuckDB, with exact values.

The temporary table CHANGES has all changes of the rows of which something is missing, and of those
that are deleted. Others are whole, and go from the spool straight to raw. It has the columns of the
plan, the row's key as in `named_key`, and:

    lsn, position    the place of the change in the log; rows that one truncate removes share theirs
    committed_at     when its transaction was committed
    operation        insert, update, delete or truncate
    unchanged        the columns whose values are still those of the version before; null for none
    moved            whether an update changed the key: the delete of the old key comes right before
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lakefeed.errors import TableFailed
from lakefeed.loading.log.change_files import value_name
from lakefeed.loading.log.standing import cannot_go_on
from lakefeed.loading.log.values import is_visible, parsed
from lakefeed.loading.plan.column_names import DELETED_AT, WAL_COLUMNS
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.transactions import OpenTransactions
from lakefeed.source.inspection.equality import named_key, names_of_key
from lakefeed.sql import file_literal, literal, quote

# How far the clocks of servers that follow each other, or one that is set, may be apart.
CLOCKS = dt.timedelta(minutes=1)

CHANGES = "log_changes"
TRUNCATES = "log_truncates"
# The keys of the rows in CHANGES.
_NEEDED = "log_needed"
ENDS = "('delete', 'truncate')"
PLACE = "lsn, position"


@dataclass(frozen=True)
class ChangesToApply:
    """What was decoded of a table, and which of it is new to it.

    Attributes:
        files: the spooled changes.
        after: the position that the table has come to: commits that begin there or later are new.
        seen: the transactions in flight at the snapshot of the newest load of the whole table. What
            that snapshot shows was loaded with it.
        after_at: when the server had all that is below `after`, by its clock; None if unknown.
    """

    files: tuple[Path, ...]
    after: int
    seen: OpenTransactions
    after_at: dt.datetime | None = None


@dataclass(frozen=True)
class LogOfTable:
    """What a load takes from the log: changes, or nothing where it reads the whole table.

    Attributes:
        reaches: the position that the table has come to with the load.
        end: where the log ended after the run's snapshot was taken.
        has_truncate: whether a truncate is among the changes, or was loaded before.
    """

    reaches: int
    changes: ChangesToApply | None
    end: int
    has_truncate: bool = False


@dataclass(frozen=True)
class Taken:
    """The new changes of a table: those that need something are in CHANGES.

    Attributes:
        found: how many there are.
        whole: a query for the others.
    """

    found: int
    whole: str


def take_changes(session: SourceSession, plan: TablePlan, changes: ChangesToApply) -> Taken:
    """Creates CHANGES with what the log tells, and finds out which changes are whole.

    Raises:
        TableFailed: a value can't be stored exactly, or the server was restored meanwhile.
    """
    refuse_rewound(session, plan, changes)
    spooled = new_changes(changes)
    decoded = decoded_rows(plan, spooled)
    keys = ", ".join(names_of_key(plan.key_columns))
    session.execute(
        f"create or replace temp table {TRUNCATES} as select {PLACE}, committed_at "
        f"from {spooled} where operation = 'truncate'"
    )
    needs = "operation = 'delete' or unchanged is not null"
    if count_of(session, TRUNCATES):
        needs = "true"
    try:
        session.execute(
            f"create or replace temp table {_NEEDED} as "
            f"select distinct {keys} from {decoded} where {needs}"
        )
        session.execute(
            f"create or replace temp table {CHANGES} as "
            f"from {decoded} semi join {_NEEDED} using ({keys})"
        )
    except duckdb.Error as error:
        raise unstorable(plan, error) from None
    found = count_of(session, spooled)
    return Taken(found, f"from {decoded} anti join {_NEEDED} using ({keys})")


def new_changes(changes: ChangesToApply) -> str:
    """Those of the spooled changes that are new to the table, as a from-clause item."""
    return (
        f"(from {_spooled(changes)} where lsn >= {changes.after} "
        f"and not ({is_visible(changes.seen)}))"
    )


def refuse_rewound(session: SourceSession, plan: TablePlan, changes: ChangesToApply) -> None:
    """Checks that what is skipped, since raw has it, was committed before raw had it.

    A server that is restored by copying its files back has the same history by its name and, soon,
    the same positions in its log and numbers of transactions again, for other changes.

    Raises:
        TableFailed: a change below the table's position, or shown by its snapshot, is newer.
    """
    since = dt.datetime.fromisoformat(changes.seen.snapshot_at) + CLOCKS
    newer = f"({is_visible(changes.seen)}) and committed_at > {_moment(since)}"
    if changes.after_at:
        noted = _moment(changes.after_at + CLOCKS)
        newer = f"{newer} or lsn < {changes.after} and committed_at > {noted}"
    query = f"select min(epoch_us(committed_at)) from {_spooled(changes)} where {newer}"
    ((found,),) = session.execute(query).fetchall()
    if found is not None:
        at = dt.datetime.fromtimestamp(found / 1_000_000, dt.UTC)
        raise cannot_go_on(
            plan,
            f"the server was restored, or its clock was set back: its log has a change of "
            f"{at:%Y-%m-%d %H:%M:%S} UTC at a place that was read before that time",
        )


def _moment(at: dt.datetime) -> str:
    return f"{literal(at.isoformat())}::timestamptz"


def _spooled(changes: ChangesToApply) -> str:
    paths = ", ".join(map(file_literal, changes.files))
    return f"read_parquet([{paths}], hive_partitioning = false)"


def decoded_rows(plan: TablePlan, spooled: str) -> str:
    """Spooled changes of rows with their values, and the row's key; a from-clause item."""
    values = [
        f"{parsed(column, value_name(number))} as {quote(column.name)}"
        for number, column in enumerate(plan.columns)
    ]
    return (
        f"(select *, {named_key(plan.key_columns)} from (select {', '.join(values)}, {PLACE}, "
        f"committed_at, operation, unchanged, moved from {spooled} where operation <> 'truncate'))"
    )


def unstorable(plan: TablePlan, error: duckdb.Error) -> TableFailed:
    """The error for a value that the lake can't hold."""
    return TableFailed(
        f"{plan.table.shown} has a change that can't be stored exactly: "
        + str(error).splitlines()[0],
        where=plan.table.where,
        do="exclude the column, or correct the value and read the table in full: "
        f"lakefeed run --select {plan.table.shown} --full-refresh",
    )


def add_unknown(
    session: SourceSession, plan: TablePlan, latest: LatestRows, taken: Taken, rows: str
) -> int:
    """Adds those of these rows that neither raw nor the changes know; returns their number.

    Args:
        rows: a from-clause item, with the plan's columns; it is read once.
    """
    keys = ", ".join(names_of_key(plan.key_columns))
    known = f"select {keys} from {CHANGES} union all select {keys} from ({taken.whole})"
    if latest:
        in_raw = f"({latest.newest_rows(session, plan)})"
        known += f" union all select {named_key(plan.key_columns)} from {in_raw}"
    return session.changed_rows(
        f"insert into {CHANGES} by name select *, false as moved from "
        f"(select *, {named_key(plan.key_columns)} from {rows}) "
        f"anti join ({known}) using ({keys})",
    )


def rows_written(plan: TablePlan, taken: Taken) -> str:
    """A query for the inserted and updated versions, as raw has them, and rows that were read."""
    completed = f"{CHANGES} where operation is null or operation not in {ENDS}"
    return f"{_versions(plan, completed)} union all {_versions(plan, f'({taken.whole})')}"


def rows_deleted(plan: TablePlan) -> str:
    """A query for the tombstones, as raw has them."""
    return _versions(plan, f"{CHANGES} where operation in {ENDS}", f"committed_at as {DELETED_AT}")


def count_deleted(session: SourceSession) -> int:
    """The number of tombstones."""
    return count_of(session, f"{CHANGES} where operation in {ENDS}")


def count_alive(
    session: SourceSession, plan: TablePlan, latest: LatestRows, taken: Taken
) -> tuple[int, int, int]:
    """How many rows raw has, how many of them are gone after the changes, how many remain."""
    keys = ", ".join(names_of_key(plan.key_columns))
    before = f"(select {named_key(plan.key_columns)} from ({latest.newest_rows(session, plan)}))"
    changes = f"{CHANGES} union all by name select {keys}, {PLACE}, operation from ({taken.whole})"
    newest = (
        f"(select {keys}, arg_max(operation in {ENDS}, ({PLACE})) as is_gone "
        f"from (from {changes}) group by {keys})"
    )
    found = session.execute(
        f"select count(*) filter (is_before), count(*) filter (is_before and is_gone), "
        f"count(*) filter (not coalesce(is_gone, false)) from "
        f"(select *, true as is_before from {before}) full join {newest} using ({keys})"
    ).fetchall()[0]
    return int(found[0]), int(found[1]), int(found[2])


def _versions(plan: TablePlan, relation: str, *more: str) -> str:
    columns = [quote(column.name) for column in plan.columns]
    values = (*PLACE.split(", "), "committed_at", "operation")
    of_log = [f"{v} as {n}" for v, n in zip(values, WAL_COLUMNS, strict=True)]
    return f"select {', '.join([*columns, *of_log, *more])} from {relation}"


def count_of(session: SourceSession, relation: str) -> int:
    return int(session.execute(f"select count(*) from {relation}").fetchall()[0][0])
