"""Compares source and staging at one snapshot, value by value, in bounded memory.

Ranges of the cursor are compared by hash first; rows are compared only within ranges that differ.
A row that the next load will read anyway counts as pending, not as a finding.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lakefeed.loading.log.unread import Unread
from lakefeed.loading.plan.column_names import DELETED_AT
from lakefeed.loading.plan.detached import STANDS, Detached
from lakefeed.loading.plan.queries import MARKED, ever_loaded, rows_query
from lakefeed.loading.plan.table_plan import Range, TablePlan
from lakefeed.loading.raw.latest_rows import as_compared, as_counted
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.equality import same_key
from lakefeed.source.staged_form import VALUE, form_of
from lakefeed.sql import literal, quote

Kind = Literal["missing", "extra", "differing"]

_NUMBERS_PER_RANGE = 100_000
# Above this number, one condition covers everything from the first range to the last.
_MOST_RANGES = 100


@dataclass(frozen=True)
class Finding:
    """The rows of one kind: their number, their range of cursor values and one key as example.

    With `mode: append`, a cursor value stands for the key.
    """

    kind: Kind
    rows: int
    low: str | None
    high: str | None
    example: str


@dataclass(frozen=True)
class Comparison:
    """The result of comparing a table. `ranges` cover all rows that are missing or differ; `kept`
    counts the rows of detached partitions that staging has and the source lacks, as declared."""

    rows: int
    pending: int
    findings: tuple[Finding, ...]
    ranges: tuple[Range, ...]
    kept: int = 0


def compare_with_staging(
    session: SourceSession,
    plan: TablePlan,
    staged: str,
    pending: str | None,
    detached: Detached | None = None,
    *,
    unread: Unread | None = None,
) -> Comparison:
    """Compares all rows of the source with those of a staging model.

    Side effect: creates temporary tables in the session.

    Args:
        staged: the model, as a from-clause item.
        pending: a condition in the source's SQL for the rows that the next load reads; None for
            all rows.
        detached: the rows of partitions that are no longer attached.
        unread: what the next load reads from the log, deletes included.
    """
    if DELETED_AT in columns_of(session, staged):
        staged = f"(from {staged} where {DELETED_AT} is null)"
    rows, ranges = _differing_ranges(session, plan, staged)
    if not ranges or not (plan.key or plan.table.appends):
        # A table without a key is read whole, so the next load repairs all of it.
        return Comparison(rows, rows if ranges else 0, (), ())
    if plan.table.appends:
        _collect_copies(session, plan, staged, ranges, pending or "true")
    else:
        # Rows of detached partitions are told by their key, so that only these tables keep them.
        kept = f"{detached.since} <> {STANDS}" if detached and detached.keeps else "false"
        unread = unread or Unread("false", "false")
        _collect_differing_rows(
            session, plan, staged, ranges, pending=pending or "true", kept=kept, unread=unread
        )
    counts = session.execute("select kind, count(*) from differing group by kind").fetchall()
    found = {str(kind): int(count) for kind, count in counts}
    return Comparison(
        rows,
        found.get("pending", 0),
        tuple(_findings(session)),
        tuple(_ranges_to_repair(session, plan)),
        kept=found.get("kept", 0),
    )


def lost_and_doubled(session: SourceSession, plan: TablePlan, staged: str) -> tuple[int, int, int]:
    """Compares every row of the source with every row of a staging model, with or without a key.

    Side effect: creates temporary tables in the session.

    Args:
        staged: the model, as a from-clause item.

    Returns: the number of rows in the source; how many of them the model lacks; how many rows of
        the model the source lacks (duplicates, outdated versions, deleted rows).
    """
    if DELETED_AT in columns_of(session, staged):
        staged = f"(from {staged} where {DELETED_AT} is null)"
    compared = ", ".join(
        f"{as_compared(column, 'rows')} as c{number}" for number, column in enumerate(plan.columns)
    )
    source = _as_staged(session, plan, rows_query(plan, ever_loaded(plan)))
    for name, relation in (("in_source", source), ("in_staging", staged)):
        session.execute(
            f"create or replace temp table {name} as select {compared} from {relation} as rows"
        )
    counts = session.execute(
        "select (select count(*) from in_source), "
        "(select count(*) from (from in_source except all from in_staging)), "
        "(select count(*) from (from in_staging except all from in_source))"
    ).fetchall()[0]
    return int(counts[0]), int(counts[1]), int(counts[2])


def _differing_ranges(
    session: SourceSession, plan: TablePlan, staged: str
) -> tuple[int, list[str | None]]:
    """The number of rows in the source, and the first value of each range that differs."""
    columns = ", ".join(as_compared(column, "rows") for column in plan.columns)
    first = _first_of_range(plan)
    summed = (
        f"select {first} as first, count(*) as rows, sum(hash({columns})::hugeint) as hashes from"
    )
    source = _as_staged(session, plan, rows_query(plan, ever_loaded(plan)))
    session.execute(
        f"create or replace temp table ranges as select coalesce(a.first, b.first) as first, "
        "coalesce(a.rows, 0) as rows, "
        "a.rows is distinct from b.rows or a.hashes is distinct from b.hashes as differ "
        f"from ({summed} {source} as rows group by 1) as a "
        f"full join ({summed} {staged} as rows group by 1) as b "
        "on a.first is not distinct from b.first"
    )
    rows = session.execute("select coalesce(sum(rows), 0) from ranges").fetchall()[0][0]
    order = "first::bigint" if plan.cursor_kind == "number" else "first"
    found = session.execute(f"select first from ranges where differ order by {order}").fetchall()
    return int(rows), [row[0] for row in found]


def _collect_differing_rows(
    session: SourceSession,
    plan: TablePlan,
    staged: str,
    ranges: list[str | None],
    *,
    pending: str,
    kept: str,
    unread: Unread,
) -> None:
    """Creates the table `differing`; `kept` is a condition for rows that the source may lack."""
    columns = ", ".join(as_compared(column, "rows") for column in plan.columns)
    keys = ", ".join(f"rows.{quote(name)}" for name in plan.key)
    same = same_key(plan.key_columns, "a", "b")
    cursor = plan.cursor.value("rows") if plan.cursor else "null"
    compared = f"{keys}, {cursor} as _cursor, hash({columns}) as _hash from"
    condition = f"{ever_loaded(plan)} and ({_within(plan, ranges)})"
    source = _as_staged(session, plan, rows_query(plan, condition, marked=pending))
    # Where deletes are found by comparing keys, the next load also loads the rows that raw lacks.
    compares_keys = plan.watches_deletes and not plan.table.reads_log
    missing = "pending" if compares_keys else "missing"
    shown = ", ".join(f"coalesce(a.{quote(name)}, b.{quote(name)})" for name in plan.key)
    session.execute(
        f"create or replace temp table differing as select case "
        f"when b._hash is not null and a._hash is null and b._kept then 'kept' "
        f"when b._hash is not null and a._hash is null and b._unread then 'pending' "
        f"when b._hash is not null and a._hash is null then 'extra' "
        f"when a.{MARKED} or a._unread then 'pending' "
        f"when b._hash is null then '{missing}' else 'differing' end as kind, "
        f"a._cursor as _cursor, concat_ws(', ', {shown}) as key "
        f"from (select {MARKED}, {unread.in_source} as _unread, {compared} {source} as rows) as a "
        f"full join (select {kept} as _kept, {unread.in_staging} as _unread, {compared} {staged} "
        f"as rows where {_first_of_range(plan)} in (select first from ranges where differ) "
        f"or {cursor} is null) as b on {same} "
        "where a._hash is distinct from b._hash"
    )


def _collect_copies(
    session: SourceSession,
    plan: TablePlan,
    staged: str,
    ranges: list[str | None],
    pending: str,
) -> None:
    """Without a key, equal rows are counted: each has a counterpart, is missing or is extra."""
    assert plan.cursor is not None
    columns = ", ".join(as_counted(column, "rows") for column in plan.columns)
    cursor = plan.cursor.value("rows")
    kept = (
        f"{cursor} as _cursor, hash({columns}) as _hash, "
        f"row_number() over (partition by hash({columns})) as _copy from"
    )
    condition = f"{ever_loaded(plan)} and ({_within(plan, ranges)})"
    source = _as_staged(session, plan, rows_query(plan, condition, marked=pending))
    session.execute(
        "create or replace temp table differing as select case "
        "when a._hash is null then 'extra' "
        f"when a.{MARKED} then 'pending' else 'missing' end as kind, a._cursor as _cursor, "
        "coalesce(a._cursor, b._cursor)::varchar as key "
        f"from (select {MARKED}, {kept} {source} as rows) as a full join ("
        f"select {kept} {staged} as rows where {_first_of_range(plan)} in "
        f"(select first from ranges where differ) or {cursor} is null) as b "
        "on a._hash = b._hash and a._copy = b._copy where a._hash is null or b._hash is null"
    )


def _findings(session: SourceSession) -> Iterator[Finding]:
    found = session.execute(
        "select kind, count(*), min(_cursor)::varchar, max(_cursor)::varchar, min(key) "
        "from differing where kind not in ('pending', 'kept') group by kind order by kind desc"
    ).fetchall()
    for kind, rows, low, high, example in found:
        yield Finding(kind=kind, rows=int(rows), low=low, high=high, example=example)


def _ranges_to_repair(session: SourceSession, plan: TablePlan) -> Iterator[Range]:
    """Whole ranges of the cursor, adjacent ones merged."""
    if plan.cursor is None:
        return
    width: dt.timedelta | int = dt.timedelta(days=1)
    if plan.cursor_kind == "number":
        width = _NUMBERS_PER_RANGE
    first = _first_of_range(plan, "differing._cursor", as_text=False)
    finite = "true" if plan.cursor_kind == "number" else "isfinite(_cursor)"
    found = session.execute(
        f"select distinct {first} as first from differing "
        f"where kind in ('missing', 'differing') and _cursor is not null and {finite} order by 1"
    ).fetchall()
    since = until = None
    for (begin,) in found:
        if until is not None and begin != until:
            yield Range(since, until)
            since = None
        since = begin if since is None else since
        until = begin + width
    if since is not None:
        yield Range(since, until)


def _first_of_range(plan: TablePlan, cursor: str = "", *, as_text: bool = True) -> str:
    """An expression for the first value of a row's range: a day, or a block of numbers."""
    if plan.cursor is None:
        return "''"
    cursor = cursor or plan.cursor.value("rows")
    if plan.cursor_kind == "number":
        first = f"({cursor} // {_NUMBERS_PER_RANGE}) * {_NUMBERS_PER_RANGE}"
    else:
        first = f"date_trunc('day', {cursor})"
    return f"({first})::varchar" if as_text else first


def _within(plan: TablePlan, ranges: list[str | None]) -> str:
    """A condition in the source's SQL for rows in these ranges and rows with a null cursor."""
    if plan.cursor is None:
        return "true"
    cursor, kind = plan.cursor.value(), plan.cursor.type
    known = [first for first in ranges if first is not None]
    spans = [(first, first) for first in known]
    if len(known) > _MOST_RANGES:
        spans = [(known[0], known[-1])]
    width = str(_NUMBERS_PER_RANGE) if plan.cursor_kind == "number" else "interval '1 day'"
    parts = [
        f"({cursor} >= {literal(low)}::{kind} and {cursor} < {literal(high)}::{kind} + {width})"
        for low, high in spans
    ]
    return " or ".join([*parts, f"{cursor} is null"])


def _as_staged(session: SourceSession, plan: TablePlan, query: str) -> str:
    """The source's rows of a query, read as staging reads them from raw; a from-clause item."""
    forms = {column.name: form_of(plan.table, column, plan.key) for column in plan.columns}
    read = [
        f"{form.value.replace(VALUE, quote(name))} as {quote(name)}"
        for name, form in forms.items()
        if form
    ]
    rows = session.rows_of(query)
    return f"(select * replace ({', '.join(read)}) from {rows})" if read else rows


def columns_of(session: SourceSession, relation: str) -> set[str]:
    """The names of the columns of a from-clause item."""
    return {row[0] for row in session.execute(f"describe from {relation}").fetchall()}
