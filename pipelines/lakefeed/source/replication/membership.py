"""Which tables a publication names, and what decides whether the log has all changes of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

from lakefeed.source.replication.publications import ReplicaIdentity, identities_of
from lakefeed.sql import sql_name

# `r` for a table, `p` for a partitioned one.
PARTITIONED = "p"
KINDS = ("r", PARTITIONED)
# Of a generated column: its values are stored, and not only computed when they are read.
STORED = "s"

_OWNED = "select pg_has_role(pubowner, 'USAGE') from pg_publication where pubname = %s"
_MEMBERS = """
select c.oid::bigint, n.nspname::text, c.relname::text
from pg_publication as p
join pg_publication_rel as r on r.prpubid = p.oid
join pg_class as c on c.oid = r.prrelid
join pg_namespace as n on n.oid = c.relnamespace
where p.pubname = %s
order by 2, 3
"""
_SCHEMAS = """
select s.nspname::text
from pg_publication_namespace as n
join pg_publication as p on p.oid = n.pnpubid
join pg_namespace as s on s.oid = n.pnnspid
where p.pubname = %s
order by 1
"""
_SCHEMAS_SINCE = 150_000
_TABLES = """
select
    c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence = 'p',
    pg_has_role(c.relowner, 'USAGE'), coalesce(pg_partition_root(c.oid), c.oid)::bigint,
    array(
        select a.attname::text from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
        order by a.attnum
    ),
    coalesce((
        select jsonb_object_agg(a.attname, a.attgenerated) from pg_attribute as a
        where a.attrelid = c.oid and not a.attisdropped and a.attgenerated <> ''
    ), '{}')
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where c.oid = any(%s::oid[])
"""
# Those that a replica identity can use: not deferrable, of all rows, without null.
_INDEXES = """
select n.nspname::text, c.relname::text, x.relname::text, array_agg(a.attname::text)
from unnest(%s::oid[]) as wanted (oid)
cross join lateral (
    select wanted.oid union select t.relid from pg_partition_tree(wanted.oid) as t
) as stored
join pg_class as c on c.oid = stored.oid
join pg_namespace as n on n.oid = c.relnamespace
join pg_index as i on i.indrelid = c.oid
join pg_class as x on x.oid = i.indexrelid
cross join lateral unnest(i.indkey::int2[]) with ordinality as k (number, position)
join pg_attribute as a on a.attrelid = c.oid and a.attnum = k.number
where k.position <= i.indnkeyatts and i.indisunique and i.indimmediate and i.indisvalid
    and i.indpred is null and i.indexprs is null
group by c.oid, i.indexrelid, n.nspname, c.relname, x.relname
having bool_and(a.attnotnull)
order by 1, 2, 3
"""


@dataclass(frozen=True)
class Membership:
    """What a publication names, rather than what follows from that.

    Attributes:
        members: the schema and name of each table, by OID.
        schemas: those whose tables it publishes, whatever they are.
        is_owned: whether this role may alter it.
    """

    members: dict[int, tuple[str, str]]
    schemas: tuple[str, ...]
    is_owned: bool


@dataclass(frozen=True)
class LoggedTable:
    """A table as far as its changes in the log are concerned.

    Attributes:
        kind: as in `pg_class.relkind`.
        is_durable: whether its changes are in the log at all; not those of unlogged tables.
        is_owned: whether this role may publish it.
        root: the OID of the table that it is a partition of, or its own.
        columns: the names of its columns that aren't generated.
        generated: how each of its generated columns is: `s` if it is stored, `v` if not.
        identities: those of the tables that store its rows: its partitions, or itself.
        indexes: the unique indexes that could be the replica identity of each of these tables, with
            their columns.
    """

    oid: int
    schema: str
    name: str
    kind: str
    is_durable: bool
    is_owned: bool
    root: int
    columns: tuple[str, ...]
    generated: dict[str, str]
    identities: tuple[ReplicaIdentity, ...]
    indexes: dict[str, dict[str, frozenset[str]]]

    @property
    def qualified(self) -> str:
        """Its name with its schema, as SQL has it."""
        return sql_name(self.schema, self.name)

    def index_for(self, table: str, key: Sequence[str] = ()) -> str | None:
        """An index that could be the replica identity of one of the tables that store its rows.

        Args:
            key: the columns that it must have.
        """
        found = self.indexes.get(table, {})
        return next((name for name, columns in found.items() if columns.issuperset(key)), None)


def membership_of(session: PgConnection, name: str) -> Membership | None:
    """What the publication of this name names; None if there is none."""
    with session.cursor() as cursor:
        cursor.execute(_OWNED, [name])
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute(_MEMBERS, [name])
        members = {oid: (schema, table) for oid, schema, table in cursor.fetchall()}
        schemas: tuple[str, ...] = ()
        if session.server_version >= _SCHEMAS_SINCE:
            cursor.execute(_SCHEMAS, [name])
            schemas = tuple(schema for (schema,) in cursor.fetchall())
    return Membership(members, schemas, is_owned=row[0])


def logged_tables(session: PgConnection, oids: Sequence[int]) -> dict[int, LoggedTable]:
    """What decides whether the log has all changes of these tables, by OID."""
    identities = identities_of(session, oids)
    indexes: dict[str, dict[str, frozenset[str]]] = {}
    with session.cursor() as cursor:
        cursor.execute(_INDEXES, [list(oids)])
        for schema, table, index, columns in cursor.fetchall():
            indexes.setdefault(sql_name(schema, table), {})[index] = frozenset(columns)
        cursor.execute(_TABLES, [list(oids)])
        rows = cursor.fetchall()
    return {
        row[0]: LoggedTable(
            oid=row[0],
            schema=row[1],
            name=row[2],
            kind=row[3],
            is_durable=row[4],
            is_owned=row[5],
            root=row[6],
            columns=tuple(row[7]),
            generated=row[8],
            identities=identities[row[0]],
            indexes={i.table: indexes.get(i.table, {}) for i in identities[row[0]]},
        )
        for row in rows
    }
