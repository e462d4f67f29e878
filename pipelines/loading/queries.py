"""The queries that a load sends to the source: each column read exactly, within `where`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import psycopg2

from pipelines.declaration.catalogue import Column
from pipelines.loading.engine import literal
from pipelines.loading.plan import TablePlan
from pipelines.source.inspect import quote
from pipelines.source.types import read_expression

if TYPE_CHECKING:
    from dlt.sources.sql_database import BaseTableLoader


# Row versions are numbered with 32 bits, in a circle; snapshots with 64.
_CIRCLE = 2**32


def exact_query(loader: BaseTableLoader, plan: TablePlan, condition: str = "") -> str:
    """dlt's query with each column read exactly, and the declared `where` beside dlt's own."""
    query = loader.make_query()
    assert isinstance(query, sa.Select)
    query = query.with_only_columns(*map(_exact, plan.columns), maintain_column_froms=True)
    if condition:
        query = query.where(sa.literal_column(condition))
    return loader.compile_query(_where(query, plan)).replace("%%", "%")


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


def rows_query(plan: TablePlan, condition: str = "true") -> str:
    """All rows that meet the declared `where` and this condition, each column read exactly."""
    query = sa.select(*map(_exact, plan.columns)).where(sa.literal_column(f"({condition})"))
    return _over_all_rows(plan, query)


def keys_query(plan: TablePlan) -> str:
    """Key and cursor of all rows that meet the declared `where`."""
    names = {*plan.key, *([plan.cursor.name] if plan.cursor else [])}
    columns = [_exact(column) for column in plan.columns if column.name in names]
    return _over_all_rows(plan, sa.select(*columns))


def has_values_query(plan: TablePlan, columns: tuple[str, ...], below: str) -> str:
    """Whether any of these columns has a value in a row whose cursor is below this value."""
    assert plan.cursor is not None
    filled = " or ".join(f"{quote(name)} is not null" for name in columns)
    bound = f"{literal(below)}::{plan.cursor.type}"
    older: sa.ColumnElement[Any] = sa.literal_column(f"{quote(plan.cursor.name)} < {bound}")
    found: sa.Select[Any] = sa.select(sa.literal_column("1")).where(
        sa.literal_column(f"({filled})"), older
    )
    return f"select exists ({_over_all_rows(plan, found)})"


def newest_cursor_query(plan: TablePlan) -> str:
    """The largest cursor of all rows that meet the declared `where`, as text."""
    assert plan.cursor is not None
    newest: sa.ColumnElement[Any] = sa.literal_column(f"max({quote(plan.cursor.name)})::text")
    return _over_all_rows(plan, sa.select(newest))


def _over_all_rows(plan: TablePlan, query: sa.Select[Any]) -> str:
    table = sa.table(plan.table.name, schema=plan.table.schema)
    query = _where(query.select_from(table), plan)
    return str(query.compile(dialect=psycopg2.dialect())).replace("%%", "%")  # type: ignore[no-untyped-call]


def _exact(column: Column) -> sa.ColumnElement[Any]:
    name = quote(column.name)
    return sa.literal_column(f"{read_expression(name, column.type)} as {name}")


def _where(query: sa.Select[Any], plan: TablePlan) -> sa.Select[Any]:
    if not plan.table.settings.where:
        return query
    # Line breaks, so that a comment at the end of the condition ends with it.
    return query.where(sa.literal_column(f"(\n{plan.table.settings.where}\n)"))
