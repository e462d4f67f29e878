"""The queries that a load sends to the source: columns without loss, filtered by `where`."""

from __future__ import annotations

from lakefeed.declaration.catalogue import Part
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.sql import literal, quote, quote_qualified

MARKED = "_lakefeed_marked"
# The physical location of a row: the oid of its table or partition, and its ctid.
PART = "_lakefeed_part"
PLACE = "_lakefeed_place"
# A row of the table as a whole; a column of its name would come first.
ROW = "_lakefeed_row"

# `xmin` holds the lower 32 bits of a transaction number, which wrap around; snapshots hold all 64.
# (https://www.postgresql.org/docs/current/transaction-id.html)
_XMIN_VALUES = 2**32


def exact_columns(plan: TablePlan) -> list[str]:
    """The plan's columns as select expressions: each value without loss, or protected."""
    return [f"{plan.expression_of(column)} as {quote(column.name)}" for column in plan.columns]


def relation_of(plan: TablePlan) -> str:
    """The table as a from-clause item in the source's SQL."""
    if plan.table.query is not None:
        return f"{query_of(plan.table.query)} as {quote(plan.table.name)}"
    only = "only " if plan.table.settings.only else ""
    return only + quote_qualified(plan.table.schema, plan.table.name)


def query_of(query: str) -> str:
    """A declared query as a subquery."""
    # The line breaks end a comment at its end.
    return f"(\n{query}\n)"


def lock_query(plan: TablePlan) -> str:
    """A query that takes the same locks as a read, including those on partitions and indexes."""
    return f"select 1 from {relation_of(plan)} where {declared_condition(plan)} limit 0"


def declared_condition(plan: TablePlan) -> str:
    """The declared `where`; `true` if there is none."""
    # The line breaks end a comment at the end of the condition.
    return f"(\n{plan.table.settings.where}\n)" if plan.table.settings.where else "true"


def ever_loaded(plan: TablePlan) -> str:
    """The condition for rows that any load may read, whatever its checkpoint."""
    if plan.cursor is None:
        return "true"
    cursor, condition = plan.cursor.value(), "true"
    if plan.initial_value is not None:
        start = f"{literal(str(plan.initial_value))}::{plan.cursor.type}"
        condition = f"coalesce({cursor} >= {start}, true)"
    never = plan.table.settings.on_null_cursor == "exclude"
    return f"{condition} and {cursor} is not null" if never else condition


def written_since(oldest_unfinished: int, next_number: int) -> str:
    """The condition for row versions that an earlier snapshot may not have seen.

    Selects the rows of all transactions from the oldest one unfinished at that snapshot onwards,
    since a snapshot doesn't list subtransactions. It may also select versions older than four
    billion transactions; it never misses one.

    Args:
        oldest_unfinished: the oldest transaction unfinished at the earlier snapshot.
        next_number: the next transaction number at the snapshot of this read.
    """
    epoch, position = divmod(next_number, _XMIN_VALUES)
    number = "xmin::text::bigint"
    epoch_of_row = f"case when {number} > {position} then {epoch - 1} else {epoch} end"
    return f"{number} + ({epoch_of_row})::bigint * {_XMIN_VALUES} >= {oldest_unfinished}"


def rows_query(
    plan: TablePlan,
    condition: str = "true",
    *,
    at_most: int | None = None,
    marked: str | None = None,
) -> str:
    """A query for all rows that meet the declared `where` and this condition.

    Args:
        marked: another condition; the column `MARKED` holds whether the row meets it.
    """
    limit = f" limit {at_most}" if at_most is not None else ""
    mark = [f"coalesce({marked}, false) as {MARKED}"] if marked else []
    return _over_all_rows(plan, ", ".join([*exact_columns(plan), *mark]), condition) + limit


def summary_query(
    plan: TablePlan,
    condition: str,
    *,
    number: int,
    written: str,
    newest: str | None,
    at_most: int,
) -> str:
    """A query for one row about the rows that meet this condition, without their values.

    Selects this number; the number of rows, of those without a cursor; whether any was written, as
    the condition `written` says; whether the largest cursor is above `newest`, and whether it is
    `newest`; the table's oid; and an object in JSON with the names of its columns. These last two
    are current, not those of the snapshot, since they are resolved while parsing.

    Args:
        newest: a value of the cursor; None if there is none to compare with.
        at_most: look at this many rows.
    """
    cursor = plan.cursor.value() if plan.cursor else "null::int"
    known = f"{literal(newest)}::{plan.cursor.type}" if plan.cursor and newest else "null::int"
    row = quote_qualified(plan.table.schema, plan.table.name)
    rows = _over_all_rows(plan, f"{cursor} as reached, ({written}) as is_written", condition)
    return f"""(
        select
            {number}, count(*), count(*) - count(reached), coalesce(bool_or(is_written), false),
            max(reached) > {known}, max(reached) = {known},
            {literal(row)}::regclass::oid::bigint,
            (select row_to_json({ROW})::text from (select (null::{row}).*) as {ROW})
        from ({rows} limit {at_most}) as rows
    )"""


def counting_query(plan: TablePlan, counted: str, condition: str = "true") -> str:
    """A query for aggregates over all declared rows that meet this condition."""
    return _over_all_rows(plan, counted, f"{ever_loaded(plan)} and ({condition})")


def part_query(plan: TablePlan, part: Part, condition: str) -> str:
    """A query for the declared rows of one part that meet this condition.

    Reads the part directly if the role may; otherwise PostgreSQL also opens all other parts.
    """
    columns = ", ".join(exact_columns(plan))
    table, within = relation_of(plan), f" and tableoid = {part.oid}"
    if part.is_readable:
        table, within = f"only {quote_qualified(part.schema, part.name)}", ""
    return (
        f"select {columns} from {table} where {declared_condition(plan)} "
        f"and {ever_loaded(plan)} and ({condition}){within}"
    )


def keys_query(plan: TablePlan, marked: str) -> str:
    """A query for key and cursor of all rows that meet the declared `where`.

    Args:
        marked: a condition; the column `MARKED` holds whether the row meets it.
    """
    names = {*plan.key, *(plan.cursor.names if plan.cursor else ())}
    exact = zip(plan.columns, exact_columns(plan), strict=True)
    selected = [text for column, text in exact if column.name in names]
    return _over_all_rows(plan, ", ".join([*selected, f"coalesce({marked}, false) as {MARKED}"]))


def addresses_query(plan: TablePlan, condition: str) -> str:
    """A query for the keys and physical locations of rows that meet this condition."""
    exact = zip(plan.columns, exact_columns(plan), strict=True)
    keys = [text for column, text in exact if column.name in plan.key]
    address = f"tableoid::bigint as {PART}, ctid::text as {PLACE}"
    return _over_all_rows(plan, ", ".join([*keys, address]), condition)


def since_condition(plan: TablePlan, start: CursorValue) -> str:
    """The condition for rows that a load reads if it starts at this cursor value."""
    assert plan.cursor is not None
    cursor = plan.cursor.value()
    condition = f"{cursor} >= {literal(str(start))}::{plan.cursor.type}"
    if plan.table.settings.on_null_cursor == "exclude":
        return condition
    return f"({condition} or {cursor} is null)"


def size_query(plan: TablePlan) -> str:
    """A query for the bytes of a table and the pages of its largest part.

    Partitions and child tables count as parts. The number of pages is 0 if the table can't be read
    by page: foreign tables, and all tables before PostgreSQL 14, where a range of pages is a scan
    of the whole table.
    """
    table = literal(quote_qualified(plan.table.schema, plan.table.name))
    return f"""
        with recursive parts (oid) as (
            select {table}::regclass::oid
            union
            select i.inhrelid
            from pg_inherits as i
            join parts on parts.oid = i.inhparent
            where {"false" if plan.table.settings.only else "true"}
        )
        select
            coalesce(sum(pg_table_size(oid)), 0)::bigint,
            case
                when bool_or(relkind = 'f') or current_setting('server_version_num')::int < 140000
                then 0
                else coalesce(max(pg_relation_size(oid)), 0)
            end::bigint / current_setting('block_size')::bigint
        from pg_class
        join parts using (oid)
        where relkind in ('r', 'm', 'f')
    """


def has_values_query(plan: TablePlan, columns: tuple[str, ...], below: str | None = None) -> str:
    """A query for whether any of these columns has a value in a row below this cursor value.

    Args:
        below: None for whether any row has.
    """
    condition = " or ".join(f"{quote(name)} is not null" for name in columns)
    if below is not None:
        assert plan.cursor is not None
        older = f"{plan.cursor.value()} < {literal(below)}::{plan.cursor.type}"
        condition = f"({condition}) and {older}"
    return f"select exists ({_over_all_rows(plan, '1', condition)})"


def newest_cursor_query(plan: TablePlan) -> str:
    """A query for the largest cursor value of all rows that meet the declared `where`, as text."""
    assert plan.cursor is not None
    return _over_all_rows(plan, f"max({plan.cursor.value()})::text")


def _over_all_rows(plan: TablePlan, selected: str, condition: str = "true") -> str:
    return (
        f"select {selected} from {relation_of(plan)} "
        f"where {declared_condition(plan)} and ({condition})"
    )
