"""Reads tables from the database: columns, keys, sizes, privileges and cursor candidates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.table_names import spelled
from lakefeed.source.inspection.keys import Keys, read_keys
from lakefeed.sql import quote_qualified

_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "f": "foreign table",
}

PARTITION = "partition"
# The kinds that wildcards match: views have no key, and partitions are read through their parent.
BASE_KINDS = ("table", "partitioned table", "foreign table")

# Resolves domains to their base type.
_COLUMNS = """
with recursive base (oid, type, modifier, base) as (
    select t.oid, t.oid, -1, t.typtype = 'd' from pg_type as t
    union all
    select b.oid, t.typbasetype, t.typtypmod, u.typtype = 'd'
    from base as b
    join pg_type as t on t.oid = b.type
    join pg_type as u on u.oid = t.typbasetype
    where b.base
)
select
    n.nspname, c.relname, c.relkind, c.oid::bigint, a.attname,
    format_type(b.type, case when b.type = a.atttypid then a.atttypmod else b.modifier end),
    a.attnotnull
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
join base as b on b.oid = a.atttypid and not b.base
where c.relkind in ('r', 'p', 'v', 'm', 'f') and n.nspname = any(%s)
order by n.nspname, c.relname, a.attnum
"""

_PARTITIONS = """
select n.nspname, c.relname
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.relispartition and n.nspname = any(%s)
"""

# Unlike `to_regclass`, this also works without usage on the schema.
_OF_THESE = """pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join unnest(%(schemas)s::name[], %(names)s::name[]) as asked (schema, name)
    on n.nspname = asked.schema and c.relname = asked.name"""

_FACTS = f"""
select
    n.nspname, c.relname, a.attname,
    exists (
        select from pg_index as i
        join pg_class as x on x.oid = i.indexrelid
        join pg_am as m on m.oid = x.relam
        where i.indrelid = a.attrelid and i.indkey[0] = a.attnum
            and i.indisvalid and i.indpred is null and m.amname in ('btree', 'brin')
    ),
    a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid)
from {_OF_THESE}
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
"""

_TRIGGERS = f"""
select n.nspname, c.relname, p.prosrc
from {_OF_THESE}
join pg_trigger as t on t.tgrelid = c.oid and not t.tgisinternal and (t.tgtype & 16) = 16
join pg_proc as p on p.oid = t.tgfoid
"""

# True even with `row_security` off, where reading the table would fail.
_HIDE_ROWS = f"select n.nspname, c.relname from {_OF_THESE} where row_security_active(c.oid)"

# A partitioned table has no storage itself, so its partitions are summed up.
_SIZE = """
with recursive asked (schema, name, alone) as (
    select * from unnest(%(schemas)s::name[], %(names)s::name[], %(alone)s::boolean[])
),
parts (schema, name, alone, oid) as (
    select asked.schema, asked.name, asked.alone, c.oid
    from asked
    join pg_namespace as n on n.nspname = asked.schema
    join pg_class as c on c.relnamespace = n.oid and c.relname = asked.name
    union
    select p.schema, p.name, p.alone, i.inhrelid from pg_inherits as i
    join parts as p on p.oid = i.inhparent where not p.alone
)
select p.schema, p.name, coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint,
    bool_and(c.reltuples >= 0), coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
from pg_class as c
join parts as p using (oid)
where c.relkind <> 'p'
group by p.schema, p.name
"""
_SCHEMAS_WITH_TABLES = """
select n.nspname, count(*)
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'f') and not c.relispartition
    and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
group by n.nspname
order by n.nspname
"""

# A grant on a table has no effect without usage on its schema.
_DENIED = """
select n.nspname, c.relname, asked.attribute
from unnest(%(schemas)s::name[], %(names)s::name[], %(columns)s::name[])
    as asked (schema, name, attribute)
join pg_namespace as n on n.nspname = asked.schema
join pg_class as c on c.relnamespace = n.oid and c.relname = asked.name
where not (
    has_schema_privilege(n.oid, 'usage')
    and has_column_privilege(c.oid, asked.attribute, 'select')
)
"""

_WRITABLE = f"""
select n.nspname, c.relname from {_OF_THESE}
where has_table_privilege(c.oid, 'insert, update, delete, truncate')
"""


@dataclass(frozen=True)
class ColumnFacts:
    """Facts for choosing a cursor. `indexed`: an index on all rows starts with the column."""

    name: str
    indexed: bool
    not_null: bool
    default: str
    kept_by_trigger: bool

    @property
    def set_by_default(self) -> bool:
        """Whether the default is the database's clock."""
        clocks = ("now()", "current_timestamp", "clock_timestamp")
        return any(clock in self.default.lower() for clock in clocks)


def inspect_tables(session: PgConnection, schemas: Iterable[str]) -> dict[str, CatalogueTable]:
    """All tables and views of these schemas, by qualified name, read in four queries.

    Partitions have the kind `partition`: their rows belong to the parent.
    """
    wanted = sorted(schemas)
    keys = read_keys(session, wanted)
    partitions = set(_rows(session, _PARTITIONS, [wanted]))
    columns: dict[tuple[str, str, str, int], list[Column]] = defaultdict(list)
    for *table, column, pg_type, not_null in _rows(session, _COLUMNS, [wanted]):
        schema, name, kind, oid = table
        columns[schema, name, kind, oid].append(Column(column, pg_type, not not_null))
    return {
        spelled(schema, name): CatalogueTable(
            schema=schema,
            name=name,
            kind=PARTITION if (schema, name) in partitions else _KINDS[kind],
            columns=tuple(found),
            primary_key=keys.get((schema, name), Keys()).primary,
            identity=oid,
            unique=keys.get((schema, name), Keys()).unique,
            heirs=keys.get((schema, name), Keys()).heirs,
        )
        for (schema, name, kind, oid), found in columns.items()
    }


def user_schemas(session: PgConnection) -> list[str]:
    """All schemas except PostgreSQL's own."""
    query = "select nspname from pg_namespace where nspname !~ %s and nspname <> %s order by 1"
    return [name for (name,) in _rows(session, query, ["^pg_", "information_schema"])]


def column_facts(
    session: PgConnection, tables: Sequence[CatalogueTable]
) -> dict[str, dict[str, ColumnFacts]]:
    """The cursor facts of each column by its name, by qualified name of its table."""
    triggers: dict[str, str] = defaultdict(str)
    for schema, name, source in _rows(session, _TRIGGERS, _named(tables)):
        triggers[spelled(schema, name)] += f" {source.lower()}"
    facts: dict[str, dict[str, ColumnFacts]] = {table.qualified: {} for table in tables}
    for schema, name, *of_column in _rows(session, _FACTS, _named(tables)):
        column, indexed, not_null, default = of_column
        qualified = spelled(schema, name)
        facts[qualified][column] = ColumnFacts(
            name=column,
            indexed=indexed,
            not_null=not_null,
            default=default or "",
            kept_by_trigger=f"new.{column.lower()}" in triggers[qualified],
        )
    return facts


def estimated_sizes(
    session: PgConnection, tables: Sequence[CatalogueTable], *, alone: Collection[str] = ()
) -> dict[str, tuple[int | None, int]]:
    """The planner's estimate of rows, None before the first `analyze`, and bytes with indexes, of
    each table by its qualified name.

    Args:
        alone: qualified names of tables to measure without those that inherit from them.
    """
    named = _named(tables) | {"alone": [table.qualified in alone for table in tables]}
    found = {
        spelled(schema, name): (int(rows) if analysed else None, int(size))
        for schema, name, rows, analysed, size in _rows(session, _SIZE, named)
    }
    return {table.qualified: found.get(table.qualified, (None, 0)) for table in tables}


def count_rows(
    session: PgConnection, tables: Sequence[CatalogueTable], *, alone: Collection[str] = ()
) -> dict[str, int]:
    """The exact number of rows of each table by its qualified name, by scanning them all in one
    statement; `alone` as for `estimated_sizes`."""
    counted = [
        f"select {number}, count(*) from {'only ' if table.qualified in alone else ''}"
        f"{quote_qualified(table.schema, table.name)}"
        for number, table in enumerate(tables)
    ]
    rows = _rows(session, " union all ".join(counted), [])
    return {tables[number].qualified: int(count) for number, count in rows}


def hiding_rows(session: PgConnection, tables: Sequence[CatalogueTable]) -> set[str]:
    """The qualified names of these tables to which a row policy applies for this role."""
    return {spelled(*row) for row in _rows(session, _HIDE_ROWS, _named(tables))}


def schemas_with_tables(session: PgConnection) -> dict[str, int]:
    """The number of tables in each schema, including those that this role may not read."""
    return dict(_rows(session, _SCHEMAS_WITH_TABLES, []))


def denied_columns(
    session: PgConnection, columns: Sequence[tuple[CatalogueTable, Iterable[str]]]
) -> dict[str, list[str]]:
    """Which of these columns this role may not read, by qualified name of the table."""
    asked = [(table, name) for table, names in columns for name in names]
    named = _named([table for table, _ in asked]) | {"columns": [name for _, name in asked]}
    denied: dict[str, list[str]] = {table.qualified: [] for table, _ in columns}
    for schema, name, column in _rows(session, _DENIED, named):
        denied[spelled(schema, name)].append(column)
    return denied


def is_superuser(session: PgConnection) -> bool:
    query = "select rolsuper from pg_roles where rolname = current_user"
    return bool(_rows(session, query, [])[0][0])


def writable(session: PgConnection, tables: Sequence[CatalogueTable]) -> set[str]:
    """The qualified names of these tables with which this role may do more than read them."""
    return {spelled(*row) for row in _rows(session, _WRITABLE, _named(tables))}


def database_name(session: PgConnection) -> str:
    return str(_rows(session, "select current_database()", [])[0][0])


def _named(tables: Sequence[CatalogueTable]) -> dict[str, Any]:
    return {
        "schemas": [table.schema for table in tables],
        "names": [table.name for table in tables],
    }


def _rows(
    session: PgConnection, query: str, arguments: list[Any] | dict[str, Any]
) -> list[tuple[Any, ...]]:
    with session.cursor() as cursor:
        # psycopg2 leaves a `%` in the SQL alone only if it gets no arguments.
        cursor.execute(query, arguments or None)
        return cursor.fetchall()
