"""Asks the server about declared queries: their columns and types, and what they read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from psycopg2 import Error as PgError
from psycopg2 import errors
from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import QUERY, CatalogueTable, Column, Used
from lakefeed.source.connections.session_settings import look_up_first
from lakefeed.source.inspection.definitions import definition_line, definitions_of, fingerprints
from lakefeed.source.inspection.identity import format_of_money, identity_of
from lakefeed.source.inspection.type_structure import WRITTEN, Use, read_parts, rows_of_query
from lakefeed.source.statement import Statement, read_statement

# PostgreSQL's FirstNormalObjectId: lower oids belong to system tables.
_FIRST_USER_OID = 16_384
# All other tables of the source wait meanwhile.
_LONGEST_LOCK_WAIT = "10s"
_PREPARED = "lakefeed_described"
_PREPARE = f"prepare {_PREPARED} as "
_AROUND = "select * from (\n"
_NUMERIC = 1700
# For a numeric without precision, psycopg2 shows 65,535.
_MOST_DIGITS = 1000
_VARCHARS = (1042, 1043)
# What PostgreSQL adds to a length or precision in a type's modifier.
_HEADER = 4

# Parsing locks what the query names and what its views name, but not yet partitions.
_LOCKED = f"""
select c.oid::bigint, n.nspname, c.relname, has_schema_privilege(n.oid, 'usage')
from pg_locks as l
left join pg_class as c on c.oid = l.relation
left join pg_namespace as n on n.oid = c.relnamespace
where l.locktype = 'relation' and l.pid = pg_backend_pid() and l.relation >= {_FIRST_USER_OID}
    and l.database = (select oid from pg_database where datname = current_database())
    and coalesce(c.relkind in ('r', 'p', 'v', 'm', 'f'), true)
order by 2, 3
"""

_TYPES = f"""
select
    asked.place, t.oid::bigint, format_type(t.oid, asked.modifier),
    {WRITTEN.format(type="t", modifier="asked.modifier")}
from unnest(%(types)s::oid[], %(modifiers)s::int[]) with ordinality
    as asked (type, modifier, place)
join pg_type as t on t.oid = asked.type
order by asked.place
"""

# A column of the same name may be another column, as may a function.
_USED_COLUMNS = f"""
select 0::bigint, concat_ws(' ', n.nspname, c.relname, a.attname, a.attnum, md5(d.adbin::text)),
    t.oid::bigint, {WRITTEN.format(type="t", modifier="a.atttypmod")}
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join pg_type as t on t.oid = a.atttypid
left join pg_attrdef as d
    on d.adrelid = a.attrelid and d.adnum = a.attnum and a.attgenerated <> ''
where c.oid = any(%(tables)s::oid[]) and c.relkind not in ('v', 'm')
    and a.attname = any(%(names)s::text[])
"""
_USED_FUNCTIONS = f"""
select 0::bigint, md5(concat(p.prosrc, to_jsonb(p) ->> 'prosqlbody')), 0::bigint, ''
from pg_proc as p
where p.oid >= {_FIRST_USER_OID} and p.proname = any(%(functions)s::text[])
"""


class QueryRefused(Exception):
    """The server can't or won't run this query; the message completes "it can't be read: ".

    Attributes:
        offset: the character of the query that it is about; None if the server doesn't tell.
    """

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True)
class DeclaredQuery:
    """A query, and the name under which it is catalogued."""

    schema: str
    name: str
    query: str


@dataclass(frozen=True)
class _Described:
    """What the server says of a query: its columns with type and modifier, and what it reads."""

    columns: tuple[tuple[str, int, int], ...]
    used: tuple[tuple[int, Used], ...]


def describe_queries(
    session: PgConnection, queries: Mapping[str, DeclaredQuery]
) -> dict[str, CatalogueTable | QueryRefused]:
    """Each query as a table of the catalogue, or why it can't be one.

    Reads no rows, and keeps no lock: each query is parsed within a savepoint that is rolled back.

    Args:
        queries: parsed ones, by qualified name.

    Raises:
        psycopg2.Error: the connection was lost.
    """
    return {name: _described(session, declared) for name, declared in queries.items()}


def _described(session: PgConnection, declared: DeclaredQuery) -> CatalogueTable | QueryRefused:
    try:
        with _within_savepoint(session, declared.schema):
            described = _ask(session, declared.query)
    except QueryRefused as refused:
        return refused
    except PgError as error:
        if error.pgcode is None:
            raise
        return QueryRefused(_reason(error), _offset(error))
    table = CatalogueTable(
        schema=declared.schema,
        name=declared.name,
        kind=QUERY,
        columns=(),
        uses=tuple(used for _, used in described.used),
    )
    return _with_columns(session, table, described, read_statement(declared.query))


@contextmanager
def _within_savepoint(session: PgConnection, schema: str) -> Iterator[None]:
    with session.cursor() as cursor:
        cursor.execute(
            f"savepoint described; set local lock_timeout = '{_LONGEST_LOCK_WAIT}'; "
            f"{look_up_first(schema)}"
        )
        try:
            yield
        finally:
            if not session.closed:
                cursor.execute("rollback to savepoint described; release savepoint described")


def _ask(session: PgConnection, query: str) -> _Described:
    whole = f"{_AROUND}{query}\n) as query"
    with session.cursor() as cursor:
        cursor.execute(f"{_PREPARE}{whole}")
        cursor.execute(_LOCKED)
        locked = cursor.fetchall()
        # A pooler's session would keep it for its next client.
        cursor.execute(f"deallocate {_PREPARED}")
        cursor.execute(f"{whole} limit 0")
        columns = cursor.description or ()
    if any(oid is None for oid, *_ in locked):
        raise QueryRefused("a table that it reads was created or replaced just now; run again")
    names = [column.name for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise QueryRefused(
                f"it has {names.count(name)} columns named `{name}`; give each a name of its own "
                "(`… as name`)"
            )
    return _Described(
        columns=tuple((c.name, c.type_code, _modifier(c)) for c in columns),
        used=tuple((oid, Used(schema, name, usable)) for oid, schema, name, usable in locked),
    )


def _modifier(column: Any) -> int:
    """The modifier of a column's type, such as its length; -1 if it has none, or none that matters.

    psycopg2 shows it only for these types. Those of others, such as the precision of a time, don't
    change how a value is read.
    """
    if column.type_code == _NUMERIC and 0 < (column.precision or 0) <= _MOST_DIGITS:
        return (int(column.precision) << 16 | int(column.scale or 0)) + _HEADER
    if column.type_code in _VARCHARS and column.internal_size > 0:
        return int(column.internal_size) + _HEADER
    return -1


def _with_columns(
    session: PgConnection, table: CatalogueTable, described: _Described, statement: Statement
) -> CatalogueTable:
    names = [name for name, _, _ in described.columns]
    asked = {
        "types": [kind for _, kind, _ in described.columns],
        "modifiers": [modifier for _, _, modifier in described.columns],
    }
    types = rows_of_query(session, _TYPES, asked)
    lines = _lines(session, [oid for oid, _ in described.used], statement, names)
    parts = read_parts(session, {row[1] for row in types} | {row[2] for row in lines})
    amounts = format_of_money(session)
    columns = (
        Column(name, kind, True, identity_of(Use(oid, written), parts, amounts))
        for name, (_, oid, kind, written) in zip(names, types, strict=True)
    )
    used = ((table.name, f"{used.schema}.{used.name}") for used in table.uses)
    defined = ((table.name, definition_line(row, parts)) for row in lines)
    definition = fingerprints(session, [(table.name, ""), *used, *defined])[table.name]
    return replace(table, columns=tuple(columns), definition=definition)


def _lines(
    session: PgConnection, used: Sequence[int], statement: Statement, columns: Collection[str]
) -> list[tuple[Any, ...]]:
    """The lines that define what the query reads: views, functions, and columns by number."""
    names = {"tables": list(used), "names": [*statement.names, *columns]}
    functions = {"functions": list(statement.functions)}
    return [
        *definitions_of(session, used),
        *rows_of_query(session, _USED_COLUMNS, names),
        *rows_of_query(session, _USED_FUNCTIONS, functions),
    ]


def _offset(error: PgError) -> int | None:
    """The character of the query that the error is about. The statement is prepared first."""
    position = error.diag.statement_position
    return int(position) - 1 - len(_PREPARE + _AROUND) if position else None


def _reason(error: PgError) -> str:
    if isinstance(error, errors.LockNotAvailable):
        return "another session holds a lock on a table that it reads; run again"
    return " ".join((error.diag.message_primary or type(error).__name__).split())
