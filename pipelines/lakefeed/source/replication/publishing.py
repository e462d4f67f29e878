"""The statements that make a publication what is declared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lakefeed.source.replication.membership import PARTITIONED, LoggedTable, Membership
from lakefeed.source.replication.publications import (
    GENERATED_SINCE,
    OPERATIONS,
    Publication,
    add_tables_sql,
    create_publication_sql,
    drop_tables_sql,
)
from lakefeed.sql import quote, quote_qualified

_LOCK_TIMEOUT = "10s"


def creating(name: str, tables: Sequence[LoggedTable], *, version: int) -> list[str]:
    """The statements that publish these tables on a server of this version."""
    if not tables:
        return []
    generated = version >= GENERATED_SINCE
    return [f"{create_publication_sql(name, _named(tables), generated=generated)};"]


def adopting(
    publication: Publication,
    membership: Membership,
    tables: Sequence[LoggedTable],
    *,
    version: int,
    waits_for_writers: bool,
) -> list[str]:
    """The statements after which a publication has these tables and no others, as one transaction;
    empty if it has them already.

    Args:
        waits_for_writers: lock the tables that are added until no transaction is writing to them.
            Of one that began before, a slot may miss what it writes afterwards.
    """
    added = [t for t in tables if not _is_sent_whole(publication, membership, t)]
    again, kept = {table.oid for table in added}, {table.oid for table in tables}
    members = membership.members
    gone = [named for oid, named in members.items() if oid in again or oid not in kept]
    changes = list(_settings(publication, tables, version))
    changes += [drop_tables_sql(publication.name, gone)] if gone else []
    changes += [add_tables_sql(publication.name, _named(added))] if added else []
    if added and waits_for_writers:
        listed = ", ".join(quote_qualified(*name) for name in _named(added))
        changes = [
            f"set local lock_timeout = '{_LOCK_TIMEOUT}'",
            f"lock table {listed} in share row exclusive mode",
            *changes,
        ]
    if len(changes) > 1:
        changes = ["begin", *changes, "commit"]
    return [f"{change};" for change in changes]


def _is_sent_whole(publication: Publication, membership: Membership, table: LoggedTable) -> bool:
    """Whether it is published by name, or with its schema, with all of its rows and columns."""
    is_member = table.oid in membership.members or table.schema in membership.schemas
    found = publication.tables.get(table.oid)
    if not is_member or found is None:
        # A root that is a member isn't sent as such before `via_root` is set, which it is as well.
        return is_member and not publication.via_root
    return found.row_filter is None and set(table.columns) <= set(found.columns)


def _settings(
    publication: Publication, tables: Sequence[LoggedTable], version: int
) -> Iterator[str]:
    wanted = []
    if publication.operations != frozenset(OPERATIONS):
        wanted.append(f"publish = '{', '.join(OPERATIONS)}'")
    if not publication.via_root and any(table.kind == PARTITIONED for table in tables):
        wanted.append("publish_via_partition_root = true")
    if not publication.generated and version >= GENERATED_SINCE:
        wanted.append("publish_generated_columns = stored")
    if wanted:
        yield f"alter publication {quote(publication.name)} set ({', '.join(wanted)})"


def _named(tables: Sequence[LoggedTable]) -> list[tuple[str, str]]:
    return [(table.schema, table.name) for table in tables]
