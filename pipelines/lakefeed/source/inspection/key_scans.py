"""Estimates what it takes to read all keys of tables, from catalogue and statistics."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.table_names import spelled

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PgConnection

# A partitioned table has no storage itself, so its partitions are summed up. An index serves
# instead of the table only if it holds all columns that are read.
_SCANS = """
with recursive asked (schema, name, columns, alone) as (
    select a.schema, a.name, array(select json_array_elements_text(a.columns::json)), a.alone
    from unnest(%(schemas)s::name[], %(names)s::name[], %(columns)s::text[], %(alone)s::boolean[])
        as a (schema, name, columns, alone)
),
parts (schema, name, columns, alone, oid) as (
    select asked.schema, asked.name, asked.columns, asked.alone, c.oid
    from asked
    join pg_namespace as n on n.nspname = asked.schema
    join pg_class as c on c.relnamespace = n.oid and c.relname = asked.name
    union
    select p.schema, p.name, p.columns, p.alone, i.inhrelid from pg_inherits as i
    join parts as p on p.oid = i.inhparent where not p.alone
),
stored as (
    select
        p.schema, p.name, c.reltuples, pg_relation_size(c.oid) as table_size,
        (
            select min(pg_relation_size(i.indexrelid))
            from pg_index as i
            join pg_class as x on x.oid = i.indexrelid
            join pg_am as m on m.oid = x.relam
            where i.indrelid = c.oid and i.indisvalid and i.indpred is null and m.amname = 'btree'
                and p.columns <@ array(
                    select a.attname::text from pg_attribute as a
                    where a.attrelid = c.oid and a.attnum = any(i.indkey::int2[])
                )
        ) as index_size
    from parts as p
    join pg_class as c on c.oid = p.oid and c.relkind in ('r', 'm')
)
select
    schema, name, sum(greatest(reltuples, 0))::bigint, bool_and(reltuples >= 0),
    sum(least(table_size, index_size))::bigint, bool_and(coalesce(index_size < table_size, false))
from stored
group by schema, name
"""


@dataclass(frozen=True)
class KeyScan:
    """The keys of a table, None before the first `analyze`, and the bytes to scan for them.

    `in_index`: an index holds all that is read, and is smaller than the table.
    """

    keys: int | None
    size: int
    in_index: bool


@dataclass(frozen=True)
class KeyColumns:
    """A table and the columns of it that are read; `alone`, without the tables that inherit."""

    table: CatalogueTable
    columns: tuple[str, ...]
    alone: bool


def key_scans(session: PgConnection, asked: Sequence[KeyColumns]) -> dict[str, KeyScan]:
    """What reading these columns of all rows scans, by qualified name of the table.

    Views and foreign tables, whose size isn't known, are left out.
    """
    arguments = {
        "schemas": [one.table.schema for one in asked],
        "names": [one.table.name for one in asked],
        "columns": [json.dumps(one.columns) for one in asked],
        "alone": [one.alone for one in asked],
    }
    with session.cursor() as cursor:
        cursor.execute(_SCANS, arguments)
        return {
            spelled(schema, name): KeyScan(keys if analysed else None, size, in_index)
            for schema, name, keys, analysed, size, in_index in cursor.fetchall()
        }
