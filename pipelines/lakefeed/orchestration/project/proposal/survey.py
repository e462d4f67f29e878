"""Inspects tables for `init`, with bounded waits.

Each question is asked about all tables at once. A table that can't be read or counted doesn't keep
the others from being declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.orchestration.project.proposal.cursor_inference import TableFacts
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.sessions import fetching
from lakefeed.source.inspection.equality import compared_by_text
from lakefeed.source.inspection.guarded import (
    TableBusy,
    TableRefused,
    ask_of_all,
    bound_waits,
    refuse_unreachable,
)
from lakefeed.source.inspection.tables import (
    BASE_KINDS,
    PARTITION,
    ColumnFacts,
    column_facts,
    count_rows,
    denied_columns,
    estimated_sizes,
    hiding_rows,
    inspect_tables,
    user_schemas,
)
from lakefeed.source.inspection.updates import Updates, updates_of

_FOREIGN, _VIEW = "foreign table", "view"
_SMALL_ENOUGH_TO_COUNT = 64 * 1024 * 1024
# What one statement counts: it must end in time, and locks its tables with all of their indexes.
_BYTES_AT_ONCE = 4 * _SMALL_ENOUGH_TO_COUNT
_TABLES_AT_ONCE = 50

T = TypeVar("T")
Answers = Mapping[str, T | TableBusy | TableRefused]


@dataclass(frozen=True)
class _Catalogued:
    """What the catalogue tells of tables, by qualified name."""

    denied: Answers[list[str]]
    columns: Answers[dict[str, ColumnFacts]]
    hidden: Answers[bool]
    doubts: Answers[list[str]]
    updates: Answers[Updates]


def survey(
    connection: Connection, session: PgConnection, tables: Sequence[CatalogueTable]
) -> list[TableFacts]:
    """The facts of these tables.

    Side effect: limits how long statements of this transaction wait.

    Args:
        session: a session of this connection.
    """
    bound_waits(session)
    known = _catalogued(session, tables)
    facts = [_facts(connection, table, known) for table in tables]
    readable = [of.table for of in facts if not of.refused and _has_rows_to_count(of)]
    alone = {table.qualified for table in readable if table.heirs}
    sizes = ask_of_all(session, readable, partial(estimated_sizes, session, alone=alone))
    counts: Answers[int] = {}
    for some in _at_once(readable, sizes):
        counts = {**counts, **ask_of_all(session, some, partial(count_rows, session, alone=alone))}
    return [_with_size(of, sizes, counts) for of in facts]


def tables_of(session: PgConnection, schemas: Sequence[str]) -> list[CatalogueTable]:
    """All tables of these schemas, without views and partitions."""
    return [t for t in inspect_tables(session, schemas).values() if t.kind in BASE_KINDS]


def tables_and_views(session: PgConnection) -> list[CatalogueTable]:
    """Everything of this database that can be declared, but PostgreSQL's own."""
    found = inspect_tables(session, user_schemas(session))
    return [table for table in found.values() if table.kind != PARTITION]


def _catalogued(session: PgConnection, tables: Sequence[CatalogueTable]) -> _Catalogued:
    def denied(some: Sequence[CatalogueTable]) -> dict[str, list[str]]:
        columns = [(table, [column.name for column in table.columns]) for table in some]
        return denied_columns(session, columns)

    def hidden(some: Sequence[CatalogueTable]) -> dict[str, bool]:
        hiding = hiding_rows(session, some)
        return {table.qualified: table.qualified in hiding for table in some}

    def doubts(some: Sequence[CatalogueTable]) -> dict[str, list[str]]:
        keys = [(t, [c for c in t.columns if c.name in t.primary_key]) for t in some]
        return compared_by_text(fetching(session), keys)

    return _Catalogued(
        denied=ask_of_all(session, tables, denied),
        columns=ask_of_all(session, tables, partial(column_facts, session)),
        hidden=ask_of_all(session, tables, hidden),
        doubts=ask_of_all(session, tables, doubts),
        updates=ask_of_all(session, tables, partial(updates_of, session)),
    )


def _facts(connection: Connection, table: CatalogueTable, known: _Catalogued) -> TableFacts:
    """The facts of a table, without its size."""
    facts = TableFacts(table=table, columns={}, denied=(), rows=None, size=None)
    try:
        facts = replace(
            facts,
            denied=tuple(_answer(known.denied, table)),
            columns=_answer(known.columns, table),
            doubts=tuple(_answer(known.doubts, table)),
            updates=_answer(known.updates, table),
        )
        if _answer(known.hidden, table):
            reason = "row-level security hides rows from this role; grant it bypassrls"
            return replace(facts, refused=reason)
        if len(facts.columns) < len(table.columns):
            return replace(facts, refused="it is being dropped or altered")
        if table.kind == _FOREIGN and not _is_denied(facts):
            refuse_unreachable(connection, table)
    except (TableBusy, TableRefused) as error:
        return replace(facts, refused=str(error))
    return facts


def _is_denied(facts: TableFacts) -> bool:
    return len(facts.denied) == len(facts.table.columns)


def _has_rows_to_count(facts: TableFacts) -> bool:
    return facts.table.kind not in (_FOREIGN, _VIEW) and not _is_denied(facts)


def _answer(answers: Answers[T], table: CatalogueTable) -> T:
    found = answers[table.qualified]
    if isinstance(found, TableBusy | TableRefused):
        raise found
    return found


def _at_once(
    tables: Sequence[CatalogueTable], sizes: Answers[tuple[int | None, int]]
) -> Iterator[list[CatalogueTable]]:
    """The tables that are small enough to be counted, by the statements that count them."""
    group: list[CatalogueTable] = []
    bytes_of_group = 0
    for table in tables:
        found = sizes[table.qualified]
        if isinstance(found, TableBusy | TableRefused) or found[1] > _SMALL_ENOUGH_TO_COUNT:
            continue
        size = found[1]
        if len(group) == _TABLES_AT_ONCE or (group and bytes_of_group + size > _BYTES_AT_ONCE):
            yield group
            group, bytes_of_group = [], 0
        group.append(table)
        bytes_of_group += size
    if group:
        yield group


def _with_size(
    facts: TableFacts, sizes: Answers[tuple[int | None, int]], counts: Answers[int]
) -> TableFacts:
    """The facts with rows and bytes, each None if unknown, and why the table can't be read."""
    name = facts.table.qualified
    try:
        if name in sizes:
            rows, size = _answer(sizes, facts.table)
            facts = replace(facts, rows=rows, size=size)
        if name in counts:
            facts = replace(facts, rows=_answer(counts, facts.table))
    except TableRefused as error:
        return replace(facts, refused=str(error))
    except TableBusy:
        pass
    return facts
