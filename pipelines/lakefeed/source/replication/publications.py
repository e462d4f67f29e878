"""Publications: which tables the log shows, with which changes, columns and rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

from lakefeed.sql import quote, sql_name

# The first version that can publish stored generated columns.
GENERATED_SINCE = 18
OPERATIONS = ("insert", "update", "delete", "truncate")

_PUBLICATION = """
select
    p.puballtables, p.pubviaroot, coalesce(to_jsonb(p) ->> 'pubgencols', 'n') = 's',
    p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate
from pg_publication as p
where p.pubname = %s
"""
# The view has the tables as the log names them: the root, or the partitions. Through `to_jsonb`,
# what a version doesn't have is null: column lists and row filters came with PostgreSQL 15.
# Before 18, no generated column is published.
_TABLES = f"""
select
    c.oid::bigint, n.nspname, c.relname, to_jsonb(t) ->> 'rowfilter',
    array(
        select a.attname::text
        from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
            and coalesce(to_jsonb(t) -> 'attnames' ? a.attname::text, true)
            and (
                a.attgenerated = ''
                or current_setting('server_version_num')::int >= {GENERATED_SINCE * 10000}
            )
        order by a.attnum
    )
from pg_publication_tables as t
join pg_namespace as n on n.nspname = t.schemaname
join pg_class as c on c.relnamespace = n.oid and c.relname = t.tablename
where t.pubname = %s
order by 2, 3
"""
# A deferrable key identifies no row. Columns that an index only includes don't belong to its key.
_IDENTITIES = """
with recursive trees (root, oid) as (
    select listed, listed from unnest(%s::oid[]) as listed
    union all
    select trees.root, i.inhrelid
    from trees
    join pg_inherits as i on i.inhparent = trees.oid
    join pg_class as c on c.oid = i.inhrelid and c.relispartition
)
select
    trees.root::bigint, n.nspname, c.relname, c.relreplident::text,
    array(
        select a.attname::text
        from pg_index as i
        join pg_attribute as a
            on a.attrelid = i.indrelid
            and a.attnum = any((i.indkey::int2[])[0:i.indnkeyatts - 1])
        where i.indrelid = c.oid and i.indimmediate and i.indisvalid
            and case c.relreplident
                when 'd' then i.indisprimary when 'i' then i.indisreplident else false
            end
        order by a.attnum
    )
from trees
join pg_class as c on c.oid = trees.oid and c.relkind = 'r'
join pg_namespace as n on n.oid = c.relnamespace
order by 1, 2, 3
"""


@dataclass(frozen=True)
class PublishedTable:
    """A table whose changes are in the log.

    Attributes:
        oid: by which the log names it: of the root, if partitions are published as such.
        columns: those that are published, in their order.
        row_filter: the condition of rows that are published; None for all.
    """

    oid: int
    schema: str
    name: str
    columns: tuple[str, ...]
    row_filter: str | None


@dataclass(frozen=True)
class Publication:
    """A publication, as a version from 14 to 18 has it.

    Attributes:
        all_tables: whether it publishes each table of the database, future ones too.
        via_root: whether partitions' changes are shown as those of their root.
        generated: whether it publishes stored generated columns.
        operations: of `OPERATIONS`, those that it publishes.
        tables: by oid.
    """

    name: str
    all_tables: bool
    via_root: bool
    generated: bool
    operations: frozenset[str]
    tables: dict[int, PublishedTable]


@dataclass(frozen=True)
class ReplicaIdentity:
    """What the log says of a row before an update or a deletion.

    Attributes:
        table: the table as SQL names it, or of the partition that holds rows.
        kind: `d` (the primary key), `i` (an index), `f` (all columns) or `n` (nothing).
        key: the columns of that key or index; empty if there is none.
    """

    table: str
    kind: str
    key: frozenset[str]

    @property
    def is_nothing(self) -> bool:
        """Whether a published table would refuse the application's updates and deletions."""
        return self.kind != "f" and not self.key

    def covers(self, columns: Collection[str]) -> bool:
        """Whether the log has these columns of a row that is updated or deleted."""
        return self.kind == "f" or self.key.issuperset(columns)


def publication_of(session: PgConnection, name: str) -> Publication | None:
    """The publication of this name; None if there is none."""
    with session.cursor() as cursor:
        cursor.execute(_PUBLICATION, [name])
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute(_TABLES, [name])
        tables = cursor.fetchall()
    all_tables, via_root, generated, *published = row
    return Publication(
        name=name,
        all_tables=all_tables,
        via_root=via_root,
        generated=generated,
        operations=frozenset(
            operation for operation, is_in in zip(OPERATIONS, published, strict=True) if is_in
        ),
        tables={
            oid: PublishedTable(
                oid=oid, schema=schema, name=table, columns=tuple(columns), row_filter=row_filter
            )
            for oid, schema, table, row_filter, columns in tables
        },
    )


def identities_of(
    session: PgConnection, tables: Collection[int]
) -> dict[int, tuple[ReplicaIdentity, ...]]:
    """The replica identity of each table; of a partitioned one, those of all its partitions.

    Args:
        tables: oids.
    """
    with session.cursor() as cursor:
        cursor.execute(_IDENTITIES, [list(tables)])
        rows = cursor.fetchall()
    found: dict[int, list[ReplicaIdentity]] = defaultdict(list)
    for root, schema, name, kind, key in rows:
        found[root].append(ReplicaIdentity(sql_name(schema, name), kind, frozenset(key)))
    return {oid: tuple(found[oid]) for oid in tables}


def create_publication_sql(
    name: str, tables: Iterable[tuple[str, str]], *, generated: bool = False
) -> str:
    """The statement that publishes these tables, partitions as their roots.

    Args:
        tables: pairs of schema and name.
        generated: with stored generated columns, from PostgreSQL 18 on.
    """
    options = "publish_via_partition_root = true"
    options += ", publish_generated_columns = stored" if generated else ""
    return f"create publication {quote(name)} for table {_listed(tables)} with ({options})"


def add_tables_sql(name: str, tables: Iterable[tuple[str, str]]) -> str:
    """The statement that adds tables to a publication."""
    return f"alter publication {quote(name)} add table {_listed(tables)}"


def drop_tables_sql(name: str, tables: Iterable[tuple[str, str]]) -> str:
    """The statement that takes tables out of a publication."""
    return f"alter publication {quote(name)} drop table {_listed(tables)}"


def drop_publication_sql(name: str) -> str:
    """The statement that drops a publication."""
    return f"drop publication {quote(name)}"


def _listed(tables: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{quote(schema)}.{quote(table)}" for schema, table in tables)
