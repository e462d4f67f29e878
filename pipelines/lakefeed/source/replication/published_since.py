"""Which transactions put tables into a publication.

The log has no change that was written before its table was published, even if its transaction
commits afterwards: the server looks up the publication as it was when the change was written.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import blake2b

from psycopg2.extensions import connection as PgConnection

_PUBLICATION = """
select p.xmin::text::bigint, p.puballtables, coalesce((
    select jsonb_object_agg(r.prrelid::text, r.xmin::text::bigint)
    from pg_publication_rel as r where r.prpubid = p.oid
), '{}')
from pg_publication as p where p.pubname = %s
"""
_SCHEMAS = """
select s.nspname::text, n.xmin::text::bigint
from pg_publication_namespace as n
join pg_publication as p on p.oid = n.pnpubid
join pg_namespace as s on s.oid = n.pnnspid
where p.pubname = %s
"""
_SCHEMAS_SINCE = 150_000


@dataclass(frozen=True)
class PublishedSince:
    """The transactions that made a publication what it is, by the lower 32 bits of their numbers.

    Attributes:
        publication: the latest that created or altered the publication itself.
        tables: those that added a table, by its OID.
        schemas: those that added a schema.
    """

    publication: int
    all_tables: bool = False
    tables: dict[int, int] = field(default_factory=dict)
    schemas: dict[str, int] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """A text that changes whenever the publication does."""
        parts = (self.publication, self.all_tables, sorted(self.tables.items()), self.schemas)
        return blake2b(repr(parts).encode(), digest_size=8).hexdigest()

    def of(self, oids: Collection[int], schema: str) -> list[int] | None:
        """The transactions since which a table is published as it is; None if it isn't.

        Args:
            oids: the table, and those that store its rows.
        """
        added = [self.tables[oid] for oid in oids if oid in self.tables]
        if not added and schema in self.schemas:
            added = [self.schemas[schema]]
        return [self.publication, *added] if added or self.all_tables else None


def published_since(session: PgConnection, name: str) -> PublishedSince | None:
    """Since when a publication is what it is; None if there is none of this name."""
    with session.cursor() as cursor:
        cursor.execute(_PUBLICATION, [name])
        row = cursor.fetchone()
        if row is None:
            return None
        schemas = []
        if session.server_version >= _SCHEMAS_SINCE:
            cursor.execute(_SCHEMAS, [name])
            schemas = cursor.fetchall()
    publication, all_tables, tables = row
    return PublishedSince(
        publication,
        all_tables,
        {int(oid): xid for oid, xid in tables.items()},
        dict(schemas),
    )
