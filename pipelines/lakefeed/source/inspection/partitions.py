"""Finds the relations that store a table's rows: partitions, child tables, the table itself."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable, Part

# Reading the parent leaves out a partition that is being detached.
STANDS = "not coalesce((to_jsonb(i) ->> 'inhdetachpending')::boolean, false)"

_PARTS = f"""
with recursive trees (root, oid) as (
    select listed, listed from unnest(%(tables)s::oid[]) as listed
    union
    select trees.root, i.inhrelid
    from trees
    join pg_inherits as i on i.inhparent = trees.oid
    where {STANDS}
)
select
    trees.root::bigint, c.oid::bigint, c.relfilenode::bigint, n.nspname, c.relname,
    coalesce(
        has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
        and not c.relrowsecurity,
        false
    )
from trees
join pg_class as c on c.oid = trees.oid and c.relkind in ('r', 'm', 'f')
join pg_namespace as n on n.oid = c.relnamespace
order by 1, 2
"""


def with_parts(
    session: PgConnection, tables: dict[str, CatalogueTable]
) -> dict[str, CatalogueTable]:
    """The tables with their `parts`, read in one query."""
    found: dict[int, list[Part]] = defaultdict(list)
    with session.cursor() as cursor:
        cursor.execute(_PARTS, {"tables": [table.identity for table in tables.values()]})
        for root, *part in cursor.fetchall():
            found[root].append(Part(*part))
    return {
        name: replace(table, parts=tuple(found[table.identity or 0]))
        for name, table in tables.items()
    }
