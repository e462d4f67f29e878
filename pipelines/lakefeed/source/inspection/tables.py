"""Reads tables from the database: columns, keys, sizes, privileges and cursor candidates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
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
_OID = """(
    select c.oid from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and c.relname = %(name)s
)"""

_FACTS = f"""
select
    a.attname,
    exists (
        select from pg_index as i
        join pg_class as x on x.oid = i.indexrelid
        join pg_am as m on m.oid = x.relam
        where i.indrelid = a.attrelid and i.indkey[0] = a.attnum
            and i.indisvalid and i.indpred is null and m.amname in ('btree', 'brin')
    ),
    a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid)
from pg_attribute as a
left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
where a.attrelid = {_OID} and a.attnum > 0 and not a.attisdropped
"""

_TRIGGERS = f"""
select p.prosrc
from pg_trigger as t
join pg_proc as p on p.oid = t.tgfoid
where t.tgrelid = {_OID} and not t.tgisinternal and (t.tgtype & 16) = 16
"""

# True even with `row_security` off, where reading the table would fail.
_HIDES_ROWS = f"select row_security_active({_OID})"

# A partitioned table has no storage itself, so its partitions are summed up.
_SIZE = f"""
with recursive parts (oid) as (
    select {_OID} union
    select i.inhrelid from pg_inherits as i
    join parts on parts.oid = i.inhparent where not %(only)s
)
select coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint, bool_and(c.reltuples >= 0),
    coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
from pg_class as c
join parts using (oid)
where c.relkind <> 'p'
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
_PRIVILEGES = f"""
select a.name,
    has_schema_privilege(c.relnamespace, 'usage')
    and has_column_privilege(c.oid, a.name, 'select')
from pg_class as c
cross join unnest(%(columns)s::text[]) as a (name)
where c.oid = {_OID}
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


def column_facts(session: PgConnection, table: CatalogueTable) -> dict[str, ColumnFacts]:
    """The cursor facts of each column, by name."""
    triggers = " ".join(source for (source,) in _rows(session, _TRIGGERS, _named(table))).lower()
    return {
        name: ColumnFacts(
            name=name,
            indexed=indexed,
            not_null=not_null,
            default=default or "",
            kept_by_trigger=f"new.{name.lower()}" in triggers,
        )
        for name, indexed, not_null, default in _rows(session, _FACTS, _named(table))
    }


def estimated_size(
    session: PgConnection, table: CatalogueTable, *, only: bool = False
) -> tuple[int | None, int]:
    """The planner's estimate of rows, None before the first `analyze`, and bytes with indexes.

    Args:
        only: leave out the tables that inherit from it.
    """
    rows, analysed, size = _rows(session, _SIZE, _named(table) | {"only": only})[0]
    return (int(rows) if analysed else None), int(size)


def count_rows(session: PgConnection, table: CatalogueTable, *, only: bool = False) -> int:
    """The exact number of rows, by scanning the table; `only` as for `estimated_size`."""
    quoted = quote_qualified(table.schema, table.name)
    counted = f"select count(*) from {'only ' if only else ''}{quoted}"
    return int(_rows(session, counted, [])[0][0])


def hides_rows(session: PgConnection, table: CatalogueTable) -> bool:
    """Whether a row policy applies to this role."""
    return bool(_rows(session, _HIDES_ROWS, _named(table))[0][0])


def schemas_with_tables(session: PgConnection) -> dict[str, int]:
    """The number of tables in each schema, including those that this role may not read."""
    return dict(_rows(session, _SCHEMAS_WITH_TABLES, []))


def denied_columns(
    session: PgConnection, table: CatalogueTable, columns: Iterable[str]
) -> list[str]:
    """The columns that this role may not read."""
    named = _named(table) | {"columns": list(columns)}
    return [name for name, allowed in _rows(session, _PRIVILEGES, named) if not allowed]


def is_superuser(session: PgConnection) -> bool:
    query = "select rolsuper from pg_roles where rolname = current_user"
    return bool(_rows(session, query, [])[0][0])


def may_write(session: PgConnection, table: CatalogueTable) -> bool:
    """Whether this role may do more than read the table."""
    query = f"select has_table_privilege({_OID}, 'insert, update, delete, truncate')"
    return bool(_rows(session, query, _named(table))[0][0])


def database_name(session: PgConnection) -> str:
    return str(_rows(session, "select current_database()", [])[0][0])


def _named(table: CatalogueTable) -> dict[str, Any]:
    return {"schema": table.schema, "name": table.name}


def _rows(
    session: PgConnection, query: str, arguments: list[Any] | dict[str, Any]
) -> list[tuple[Any, ...]]:
    with session.cursor() as cursor:
        # psycopg2 leaves a `%` in the SQL alone only if it gets no arguments.
        cursor.execute(query, arguments or None)
        return cursor.fetchall()
