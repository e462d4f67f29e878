"""Checks a table's key: no column of it is null, and no two rows of the source share a key.

A unique index of the source guarantees this for the rows of one table. Any other key is checked
against the rows of the load and against the source at the load's snapshot, since a new row may
share its key with a row that was loaded long ago and still exists.
"""

from __future__ import annotations

from pathlib import Path

from lakefeed.declaration.catalogue import Column
from lakefeed.errors import TableFailed
from lakefeed.loading.extract.reader import rows_of
from lakefeed.loading.plan.column_names import DELETED_AT
from lakefeed.loading.plan.queries import counting_query
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.source.inspection.equality import comparable, compared_key
from lakefeed.source.inspection.types import lake_type
from lakefeed.sql import literal, quote

# Up to this number only the keys of the load are looked up in the source; above it, all keys.
_MOST_KEYS = 10_000


def check_key(
    session: SourceSession, plan: TablePlan, files: dict[Path, int], *, is_whole: bool
) -> None:
    """Checks the key of the rows that a load has written.

    Reads the source if no unique index covers the key and the load isn't the whole table: the rows
    with the same keys, or all keys if the load has many.

    Raises:
        TableFailed: a key column is null in a row, or two rows share a key.
    """
    if not plan.key or _is_primary_key(plan):
        return
    rows = rows_of(files)
    if plan.watches_deletes:
        rows = f"(from {rows} where {DELETED_AT} is null)"
    _refuse_nulls(session, plan, rows)
    if plan.is_kept_unique:
        return
    shared = _shared_among(session, plan, rows) if is_whole else _shared_at(session, plan, rows)
    if shared:
        *values, count = shared
        raise TableFailed(
            f"{_key_of(plan)} isn't unique: {count:,} rows share "
            f"({', '.join(map(str, values))}){_inheritance_note(plan)}",
            where=plan.table.where_of("primary_key"),
            do=_remedy(plan),
        )


def _is_primary_key(plan: TablePlan) -> bool:
    """Whether the key is the database's primary key, which can't contain nulls."""
    catalogue = plan.table.catalogue
    primary = catalogue.primary_key if catalogue else ()
    return plan.is_kept_unique and set(plan.key) == set(primary)


def _refuse_nulls(session: SourceSession, plan: TablePlan, rows: str) -> None:
    is_null = " or ".join(f"{quote(name)} is null" for name in plan.key)
    shown = ", ".join(f"{quote(name)}::varchar" for name in plan.key)
    example = session.execute(f"select {shown} from {rows} where {is_null} limit 1").fetchone()
    if example is None:
        return
    nulls = [name for name, value in zip(plan.key, example, strict=True) if value is None]
    parts = zip(plan.key, example, strict=True)
    key = ", ".join(f"{name}: {'null' if value is None else value}" for name, value in parts)
    counts = (
        f"count(*) filter (where {quote(name)} is null) as {quote(name)}" for name in plan.key
    )
    query = counting_query(plan, ", ".join(counts))
    found = session.execute(f"from {session.rows_of(query)}").fetchall()[0]
    columns = [
        f"`{name}` is null in {count:,} {'row' if count == 1 else 'rows'}"
        for name, count in zip(plan.key, found, strict=True)
        if count
    ]
    condition = " and ".join(f"{quote(name)} is not null" for name in nulls)
    raise TableFailed(
        f"{_key_of(plan)} contains nulls: {' and '.join(columns)}, such as ({key})",
        where=plan.table.where_of("primary_key"),
        do="use columns that are never null, fill the nulls in the source, or exclude these rows "
        f"(`where: {condition}`)",
    )


def _shared_among(session: SourceSession, plan: TablePlan, rows: str) -> tuple[object, ...] | None:
    """A key that several of these rows share, followed by their number; None if there is none."""
    shown = ", ".join(f"any_value({quote(name)})" for name in plan.key)
    return session.execute(
        f"select {shown}, count(*) from {rows} "
        f"group by {', '.join(compared_key(plan.key_columns))} having count(*) > 1 limit 1"
    ).fetchone()


def _shared_at(session: SourceSession, plan: TablePlan, rows: str) -> tuple[object, ...] | None:
    """A key of these rows that several rows of the source share, followed by their number."""
    texts = ", ".join(_as_source_text(column) for column in plan.key_columns)
    keys = session.execute(f"select distinct {texts} from {rows} limit {_MOST_KEYS + 1}").fetchall()
    condition = _is_one_of(plan, keys) if len(keys) <= _MOST_KEYS else "true"
    shown = ", ".join(
        f"min({_in_source(plan, column)}::text) as {quote(column.name)}"
        for column in plan.key_columns
    )
    grouped = ", ".join(_comparable_in_source(plan, column) for column in plan.key_columns)
    query = (
        f"{counting_query(plan, f'{shown}, count(*) as _lakefeed_rows', condition)} "
        f"group by {grouped} having count(*) > 1 limit 1"
    )
    return session.execute(f"from {session.rows_of(query)}").fetchone()


def _is_one_of(plan: TablePlan, keys: list[tuple[str, ...]]) -> str:
    """A condition in the source's SQL for rows with these keys."""
    columns = plan.key_columns
    kinds = ["text" if _is_compared_as_text(column) else column.type for column in columns]
    listed = (
        ", ".join(f"{literal(value)}::{kind}" for value, kind in zip(key, kinds, strict=True))
        for key in keys
    )
    named = ", ".join(
        _comparable_in_source(plan, column)
        if _is_compared_as_text(column)
        else _in_source(plan, column)
        for column in columns
    )
    return f"({named}) in (values {', '.join(f'({key})' for key in listed)})"


def _is_compared_as_text(column: Column) -> bool:
    """Whether two values are equal in the lake if and only if their texts are the same."""
    return lake_type(column.type).as_text and comparable(column.type) is None


def _in_source(plan: TablePlan, column: Column) -> str:
    """A key column in the source's SQL: protected, so that no message shows a clear value."""
    is_protected = column.name in plan.protections
    return f"({plan.expression_of(column)})" if is_protected else quote(column.name)


def _comparable_in_source(plan: TablePlan, column: Column) -> str:
    """An expression in the source's SQL that is equal for two rows exactly if the lake's is."""
    name = _in_source(plan, column)
    if _is_compared_as_text(column):
        return f'{name}::text collate "C"'
    return (
        f'{name} collate "C"'
        if lake_type(column.type).duckdb == "varchar" and (comparable(column.type) is None)
        else name
    )


def _as_source_text(column: Column) -> str:
    """An expression for the text from which PostgreSQL parses the same value."""
    name, kind = quote(column.name), lake_type(column.type).duckdb
    if kind == "blob":
        return f"'\\x' || hex({name})"
    if kind in ("date", "timestamp", "timestamptz"):
        return f"regexp_replace({name}::varchar, '^(\\S+) \\(BC\\)(.*)$', '\\1\\2 BC')"
    return f"{name}::varchar"


def _key_of(plan: TablePlan) -> str:
    columns, shown = ", ".join(plan.key), plan.table.shown
    if plan.table.settings.primary_key is None:
        return f"the primary key ({columns}) of {shown}"
    return f"`primary_key: [{columns}]` of {shown}"


def _child_tables(plan: TablePlan) -> tuple[str, ...]:
    catalogue = plan.table.catalogue
    return catalogue.heirs if catalogue and not plan.table.settings.only else ()


def _inheritance_note(plan: TablePlan) -> str:
    children = _child_tables(plan)
    if not children:
        return ""
    return f"; the table is read together with its child tables ({', '.join(children)})"


def _remedy(plan: TablePlan) -> str:
    alone = "read the table without them (`only: true`), or " if _child_tables(plan) else ""
    return f"{alone}name the columns that make a row unique (`primary_key: [a, b]`)"
