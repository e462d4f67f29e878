"""Reads the primary keys and unique indexes that the database enforces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

# The first `indnkeyatts` columns of an index are its key; INCLUDE columns follow. `indisvalid` is
# false if `create index concurrently` failed, or if a partition lacks the index of its parent.
_INDEXES = """
select n.nspname, c.relname, i.indisprimary,
    i.indisvalid and i.indpred is null and bool_and(a.attname is not null and o.opcdefault),
    array_agg(a.attname::text order by k.position)
from pg_index as i
join pg_class as c on c.oid = i.indrelid
join pg_namespace as n on n.oid = c.relnamespace
cross join lateral unnest(i.indkey::int2[], i.indclass::oid[])
    with ordinality as k (number, class, position)
join pg_opclass as o on o.oid = k.class
left join pg_attribute as a on a.attrelid = c.oid and a.attnum = k.number
where i.indisunique and n.nspname = any(%s) and k.position <= i.indnkeyatts
group by i.indexrelid, n.nspname, c.relname
order by i.indisprimary desc, i.indexrelid
"""

# Partitions share their parent's keys; other child tables have only their own.
_HEIRS = """
select n.nspname, c.relname, array_agg(h.relname::text order by h.relname)
from pg_inherits as i
join pg_class as c on c.oid = i.inhparent
join pg_class as h on h.oid = i.inhrelid
join pg_namespace as n on n.oid = c.relnamespace
where not h.relispartition and n.nspname = any(%s)
group by 1, 2
"""


@dataclass(frozen=True)
class Keys:
    """The primary key, if there is one, and all sets of columns with a unique index.

    `heirs` are the tables that inherit from this one; its keys don't cover their rows.
    """

    primary: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    heirs: tuple[str, ...] = ()


def read_keys(session: PgConnection, schemas: Sequence[str]) -> dict[tuple[str, str], Keys]:
    """The keys of these schemas' tables, by schema and name; tables without keys are left out."""
    primary: dict[tuple[str, str], tuple[str, ...]] = {}
    unique: dict[tuple[str, str], list[tuple[str, ...]]] = {}
    with session.cursor() as cursor:
        cursor.execute(_INDEXES, [list(schemas)])
        for schema, name, is_primary, holds, columns in cursor.fetchall():
            if is_primary:
                primary[schema, name] = tuple(columns)
            if holds:
                unique.setdefault((schema, name), []).append(tuple(columns))
        cursor.execute(_HEIRS, [list(schemas)])
        heirs = {(schema, name): tuple(found) for schema, name, found in cursor.fetchall()}
    return {
        table: Keys(primary.get(table, ()), tuple(unique.get(table, ())), heirs.get(table, ()))
        for table in {*primary, *unique, *heirs}
    }
