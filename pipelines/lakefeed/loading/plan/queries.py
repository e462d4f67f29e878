"""The queries that a load sends to the source: each column read exactly, within `where`."""

from __future__ import annotations

from lakefeed.declaration.catalogue import Part
from lakefeed.loading.plan.cursors import CursorValue
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.source.inspection.types import read_expression
from lakefeed.sql import literal, quote, quote_qualified

MARKED = "_lakefeed_marked"
# Where a row lies: in which table or partition, and at which place in it.
PART = "_lakefeed_part"
PLACE = "_lakefeed_place"

# Row versions are numbered with 32 bits, in a circle; snapshots with 64.
_CIRCLE = 2**32


def exact_columns(plan: TablePlan) -> list[str]:
    """The plan's columns as select expressions that lose nothing."""
    return [
        f"{read_expression(quote(column.name), column.type)} as {quote(column.name)}"
        for column in plan.columns
    ]


def relation_of(plan: TablePlan) -> str:
    """What is read, as a from-clause item of the source's."""
    only = "only " if plan.table.settings.only else ""
    return only + quote_qualified(plan.table.schema, plan.table.name)


def lock_query(plan: TablePlan) -> str:
    """Takes the locks that reading the table takes, on its partitions and indexes as well."""
    return f"select 1 from {relation_of(plan)} where {declared_condition(plan)} limit 0"


def declared_condition(plan: TablePlan) -> str:
    """The declared `where`; `true` where there is none."""
    # Line breaks, so that a comment at the end of the condition ends with it.
    return f"(\n{plan.table.settings.where}\n)" if plan.table.settings.where else "true"


def ever_loaded(plan: TablePlan) -> str:
    """A condition: the cursor lets this row be loaded, whenever that is."""
    if plan.cursor is None:
        return "true"
    cursor, condition = quote(plan.cursor.name), "true"
    if plan.initial_value is not None:
        start = f"{literal(str(plan.initial_value))}::{plan.cursor.type}"
        condition = f"coalesce({cursor} >= {start}, true)"
    never = plan.table.settings.on_null_cursor == "exclude"
    return f"{condition} and {cursor} is not null" if never else condition


def written_since(oldest_unfinished: int, next_number: int) -> str:
    """A condition: this version was written by a transaction that an earlier snapshot may not see.

    Rows of all transactions from the oldest that was unfinished then are taken in, since the
    numbers of subtransactions aren't in the snapshot. A version that is older than four billion
    transactions may be taken in as well; none is left out.

    Args:
        oldest_unfinished: of the earlier snapshot.
        next_number: of the snapshot that is read at.
    """
    turns, position = divmod(next_number, _CIRCLE)
    number = "xmin::text::bigint"
    turn = f"case when {number} > {position} then {turns - 1} else {turns} end"
    return f"{number} + ({turn})::bigint * {_CIRCLE} >= {oldest_unfinished}"


def rows_query(
    plan: TablePlan,
    condition: str = "true",
    *,
    at_most: int | None = None,
    marked: str | None = None,
) -> str:
    """All rows that meet the declared `where` and this condition, each column read exactly.

    Args:
        marked: another condition; whether a row meets it is read as the column `MARKED`.
    """
    limit = f" limit {at_most}" if at_most is not None else ""
    mark = [f"coalesce({marked}, false) as {MARKED}"] if marked else []
    return _over_all_rows(plan, ", ".join([*exact_columns(plan), *mark]), condition) + limit


def counting_query(plan: TablePlan, counted: str, condition: str = "true") -> str:
    """What is counted of all rows that meet this condition and are declared to be loaded."""
    return _over_all_rows(plan, counted, f"{ever_loaded(plan)} and ({condition})")


def part_query(plan: TablePlan, part: Part, condition: str) -> str:
    """Rows of one part that meet this condition and are declared to be loaded.

    By itself, if this role may: only then all other parts are left alone.
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
    """Key and cursor of all rows that meet the declared `where`.

    Args:
        marked: a condition; whether a row meets it is read as the column `MARKED`.
    """
    names = {*plan.key, *([plan.cursor.name] if plan.cursor else [])}
    exact = zip(plan.columns, exact_columns(plan), strict=True)
    selected = [text for column, text in exact if column.name in names]
    return _over_all_rows(plan, ", ".join([*selected, f"coalesce({marked}, false) as {MARKED}"]))


def addresses_query(plan: TablePlan, condition: str) -> str:
    """The keys of rows that meet this condition, and where they lie."""
    exact = zip(plan.columns, exact_columns(plan), strict=True)
    keys = [text for column, text in exact if column.name in plan.key]
    address = f"tableoid::bigint as {PART}, ctid::text as {PLACE}"
    return _over_all_rows(plan, ", ".join([*keys, address]), condition)


def since_condition(plan: TablePlan, start: CursorValue) -> str:
    """Rows that a load reads which begins at this value of the cursor."""
    assert plan.cursor is not None
    cursor = quote(plan.cursor.name)
    condition = f"{cursor} >= {literal(str(start))}::{plan.cursor.type}"
    if plan.table.settings.on_null_cursor == "exclude":
        return condition
    return f"({condition} or {cursor} is null)"


def size_query(plan: TablePlan) -> str:
    """Bytes of all that is read of the table, and pages of the largest part; 0 where it has none.

    Its partitions are parts, and what inherits from it. Before PostgreSQL 14 a range of pages costs
    a scan of the whole table.
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


def has_values_query(plan: TablePlan, columns: tuple[str, ...], below: str) -> str:
    """Whether any of these columns has a value in a row whose cursor is below this value."""
    assert plan.cursor is not None
    filled = " or ".join(f"{quote(name)} is not null" for name in columns)
    older = f"{quote(plan.cursor.name)} < {literal(below)}::{plan.cursor.type}"
    return f"select exists ({_over_all_rows(plan, '1', f'({filled}) and {older}')})"


def newest_cursor_query(plan: TablePlan) -> str:
    """The largest cursor of all rows that meet the declared `where`, as text."""
    assert plan.cursor is not None
    return _over_all_rows(plan, f"max({quote(plan.cursor.name)})::text")


def _over_all_rows(plan: TablePlan, selected: str, condition: str = "true") -> str:
    return (
        f"select {selected} from {relation_of(plan)} "
        f"where {declared_condition(plan)} and ({condition})"
    )
