"""Checks that the log has every change of a table that is read from it (`cursor: wal`)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.declaration.log_settings import why_not_of_log
from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed
from lakefeed.source.replication.membership import PARTITIONED, STORED, LoggedTable
from lakefeed.source.replication.publications import (
    GENERATED_SINCE,
    OPERATIONS,
    Publication,
    PublishedTable,
)
from lakefeed.sql import sql_name

_KINDS = ("table", "partitioned table", "partition")
_SETUP = "lakefeed cdc setup"


@dataclass(frozen=True)
class PublishedSource:
    """What of a source's tables is in its log.

    Attributes:
        version: the server's major version.
        name: that of the declared publication.
        publication: None if there is none of this name.
        tables: those that read the log, by OID.
    """

    version: int
    name: str
    publication: Publication | None
    tables: dict[int, LoggedTable]


def check_readable(
    table: Table, live: CatalogueTable, columns: Sequence[Column], key: Collection[str]
) -> None:
    """Refuses what the log can't have of a table, whatever is published.

    Args:
        columns: those that are loaded.

    Raises:
        TableFailed: names the line and the remedy.
    """
    if not table.reads_log:
        return
    if live.kind not in _KINDS:
        raise TableFailed(
            f"{table.shown} is a {live.kind}: the log has no changes of it",
            where=table.where_of("cursor"),
            do="use a column as its cursor, or set `mode: full_refresh`",
        )
    if live.heirs:
        raise TableFailed(
            f"{table.shown} is read together with the tables that inherit from it "
            f"({', '.join(live.heirs)}), and the log has their changes by their own names",
            where=table.where_of("cursor"),
            do="use another cursor",
        )
    if not key:
        raise TableFailed(
            f"{table.shown} has no primary key, by which the changes in the log are merged",
            where=table.where_of("cursor"),
            do="name the columns that identify a row (`primary_key: [a, b]`), which its replica "
            "identity must have; or set `mode: full_refresh`",
        )
    for column in columns:
        settings = table.settings_of(column.name)
        retypes = settings.type and not settings.is_text_in_raw
        if setting := settings.protection or ("type" if retypes else None):
            raise TableFailed(
                why_not_of_log(column.name, setting),
                where=table.where_of(f"columns.{column.name}"),
                do=f"lift what defaults set for it (columns: {{{yaml_name(column.name)}: null}})",
            )


def check_published(
    table: Table, live: CatalogueTable, columns: Sequence[str], source: PublishedSource
) -> None:
    """Refuses a table of whose changes the log lacks some.

    Args:
        columns: the names of those that are loaded.

    Raises:
        TableFailed: names the line and the remedy.
    """
    for what, do in _lacks(table, live, columns, source):
        raise TableFailed(what, where=table.where_of("cursor"), do=do)


def _lacks(
    table: Table, live: CatalogueTable, columns: Sequence[str], source: PublishedSource
) -> Iterator[tuple[str, str]]:
    logged = source.tables.get(live.identity or 0)
    publication, name = source.publication, f"the publication `{source.name}`"
    if publication is None or logged is None:
        yield f"{table.shown} isn't published: {name} doesn't exist", f"create it: {_SETUP}"
        return
    if not logged.is_durable:
        yield (
            f"{table.shown} is unlogged: the log has no changes of it",
            f"use another cursor, or run: alter table {logged.qualified} set logged",
        )
    yield from _of_publication(table, publication, logged)
    sent = publication.tables.get(logged.oid)
    if sent is None:
        yield _unpublished(table, publication, logged, name)
        return
    if sent.row_filter is not None:
        yield (
            f"{name} sends only the rows of {table.shown} that meet a condition",
            f"publish the whole table: {_SETUP}",
        )
    yield from _of_columns(table, logged, sent, columns, source)
    yield from _of_identity(table, logged)
    yield from _of_deferrable_key(table, live, logged)


def _of_publication(
    table: Table, publication: Publication, logged: LoggedTable
) -> Iterator[tuple[str, str]]:
    lacking = [operation for operation in OPERATIONS if operation not in publication.operations]
    if lacking:
        yield (
            f"the publication `{publication.name}` doesn't send each {' and '.join(lacking)} of "
            f"{table.shown}",
            f"have it send them: {_SETUP}",
        )
    if logged.kind == PARTITIONED and not publication.via_root:
        yield (
            f"the publication `{publication.name}` sends the changes of {table.shown} as those of "
            "its partitions",
            f"set `publish_via_partition_root`: {_SETUP}",
        )


def _unpublished(
    table: Table, publication: Publication, logged: LoggedTable, name: str
) -> tuple[str, str]:
    if publication.via_root and logged.root != logged.oid and logged.root in publication.tables:
        return (
            f"{name} sends the changes of {table.shown} as those of the table that it is a "
            "partition of",
            "declare that table instead",
        )
    return f"{table.shown} isn't published in {name}", f"publish it: {_SETUP}"


def _of_columns(
    table: Table,
    logged: LoggedTable,
    sent: PublishedTable,
    columns: Sequence[str],
    source: PublishedSource,
) -> Iterator[tuple[str, str]]:
    for column in columns:
        if column in sent.columns:
            continue
        kind = logged.generated.get(column)
        exclude = f"exclude it: columns: {{exclude: [{yaml_name(column)}]}}"
        if kind is None:
            yield (
                f"the publication `{source.name}` doesn't send the column `{column}` of "
                f"{table.shown}",
                f"publish the whole table ({_SETUP}), or {exclude}",
            )
        elif kind == STORED and source.version >= GENERATED_SINCE:
            yield (
                f"`{column}` of {table.shown} is generated, and the publication "
                f"`{source.name}` doesn't send it",
                f"have it send generated columns ({_SETUP}), or {exclude}",
            )
        else:
            why = (
                f"which the log of PostgreSQL {source.version} doesn't have"
                if kind == STORED
                else "and isn't stored, so that the log doesn't have it"
            )
            yield f"`{column}` of {table.shown} is generated, {why}", exclude


def _of_deferrable_key(
    table: Table, live: CatalogueTable, logged: LoggedTable
) -> Iterator[tuple[str, str]]:
    """Within one transaction, rows may swap keys that are only compared when it is committed."""
    is_primary = set(table.key) == set(live.primary_key)
    if is_primary and not all(logged.index_for(i.table, table.key) for i in logged.identities):
        yield (
            f"the primary key of {table.shown} is deferrable, so that the log can't tell which row "
            "has a key while a transaction swaps keys",
            "make it not deferrable, or use another cursor",
        )


def _of_identity(table: Table, logged: LoggedTable) -> Iterator[tuple[str, str]]:
    for identity in logged.identities:
        is_part = identity.table != logged.qualified
        of = f"{identity.table}, a partition of {table.shown}," if is_part else table.shown
        index = logged.index_for(identity.table, table.key)
        how = f"using index {sql_name(index)}" if index else "full"
        remedy = f"run: alter table {identity.table} replica identity {how}"
        if identity.is_nothing:
            yield (
                f"{of} has no replica identity, so that it can neither be updated nor deleted from "
                "while it is published",
                remedy,
            )
        elif not identity.covers(table.key):
            yield (
                f"the log doesn't have the key ({', '.join(table.key)}) of rows deleted from {of}: "
                f"its replica identity is ({', '.join(sorted(identity.key))})",
                remedy,
            )
