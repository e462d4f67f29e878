"""Finds what the server knows of updates: rows that it counted, and triggers for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.table_names import spelled

# Partitions and child tables count their own rows.
_UPDATES = """
with recursive parts (schema, name, oid) as (
    select asked.schema, asked.name, c.oid
    from unnest(%(schemas)s::name[], %(names)s::name[]) as asked (schema, name)
    join pg_namespace as n on n.nspname = asked.schema
    join pg_class as c on c.relnamespace = n.oid and c.relname = asked.name
    union
    select p.schema, p.name, i.inhrelid from pg_inherits as i join parts as p on p.oid = i.inhparent
)
select
    schema, name, coalesce(sum(pg_stat_get_tuples_updated(parts.oid)), 0)::bigint,
    bool_or(exists (
        select from pg_trigger as t
        where t.tgrelid = parts.oid and not t.tgisinternal and (t.tgtype & 16) = 16
    ))
from parts
group by schema, name
"""


@dataclass(frozen=True)
class Updates:
    """The updates of a table that the server counted since its statistics began, and whether a
    trigger waits for them."""

    rows: int = 0
    has_trigger: bool = False


def updates_of(session: PgConnection, tables: Sequence[CatalogueTable]) -> dict[str, Updates]:
    """What the server knows of each table's updates, by its qualified name."""
    asked = {"schemas": [t.schema for t in tables], "names": [t.name for t in tables]}
    found = {table.qualified: Updates() for table in tables}
    with session.cursor() as cursor:
        cursor.execute(_UPDATES, asked)
        for schema, name, rows, has_trigger in cursor.fetchall():
            found[spelled(schema, name)] = Updates(int(rows), has_trigger)
    return found
