"""Reads what of a source's tables is in its log, if a table reads that."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.models.table_settings import LOG
from lakefeed.declaration.project import Project
from lakefeed.declaration.table_names import wildcards_of
from lakefeed.loading.plan.log_check import PublishedSource
from lakefeed.source.replication.membership import logged_tables
from lakefeed.source.replication.publications import publication_of

# `server_version` is 180004 for 18.4.
_MAJOR = 10_000


def published_source(
    session: PgConnection, project: Project, source: str, live: Mapping[str, CatalogueTable]
) -> PublishedSource | None:
    """What is published of the tables that read the log; None, and no question, if none does.

    Args:
        live: the tables of the source as they are now.
    """
    if not may_read_log(project, source):
        return None
    now = project.with_catalogue(project.catalogue.with_tables(source, dict(live)))
    logging = [table for table in now.tables_of(source) if table.reads_log and not table.is_paused]
    found = [live[table.qualified] for table in logging if table.qualified in live]
    if not logging:
        return None
    settings = project.wal_of(source)
    return PublishedSource(
        version=session.server_version // _MAJOR,
        name=settings.publication,
        publication=publication_of(session, settings.publication),
        tables=logged_tables(session, [table.identity for table in found if table.identity]),
    )


def may_read_log(project: Project, source: str) -> bool:
    """Whether a known table reads the log, or one might that a wildcard matches for the first
    time."""
    if any(table.reads_log for table in project.tables_of(source)):
        return True
    declared = project.source(source)
    wildcards = wildcards_of(declared)
    levels = [project.declaration.defaults, declared.defaults]
    levels += [declared.tables[wildcard] for wildcard in wildcards]
    words = [level.cursor.word for level in levels if level and level.cursor]
    return bool(wildcards) and LOG in words
