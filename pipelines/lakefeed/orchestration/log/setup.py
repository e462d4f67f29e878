"""`lakefeed cdc setup`: the slot and the publication by which a source's log is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError
from lakefeed.loading.log.positions import has_read_log
from lakefeed.orchestration.log.setup_plan import Facts, plan_setup
from lakefeed.orchestration.log.steps import Need, Outcome, with_steps_run
from lakefeed.orchestration.project.catalogue_sync import LiveSource, read_live
from lakefeed.source.connections.connection import Connection, connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.source.log.server import read_server
from lakefeed.source.log.session import why_no_replication
from lakefeed.source.log.slots import slot_of, was_decoded
from lakefeed.source.replication.membership import logged_tables, membership_of
from lakefeed.source.replication.publications import publication_of


def setup(
    project: Project, sources: Sequence[str], *, applies: bool, allow_unbounded: bool
) -> list[Outcome]:
    """What is missing for the log of these sources to be read; does it if asked to.

    Side effects: with `applies`, creates or alters the publication and creates the slot, unless
    something else must be done first.

    Args:
        sources: those with a table that reads the log.
        allow_unbounded: create a slot although nothing bounds what it may hold back.
    """
    return [
        _of_source(project, source, applies=applies, allow_unbounded=allow_unbounded)
        for source in sources
    ]


def logging_sources(project: Project) -> list[str]:
    """The sources with a table that reads the log."""
    return list(dict.fromkeys(table.source for table in project.tables if table.reads_log))


def _of_source(project: Project, source: str, *, applies: bool, allow_unbounded: bool) -> Outcome:
    settings = project.wal_of(source)
    found = Outcome(source)
    try:
        connection = connection_of(project, source)
        with connect(connection, "lakefeed cdc") as session:
            facts, missing = _facts(session, project, source)
        plan = plan_setup(facts, settings, allow_unbounded=allow_unbounded)
        needs = plan.needs or _replication_needs(connection)
        found = replace(found, plan=replace(plan, needs=needs, unfit=(*missing, *plan.unfit)))
        if applies:
            found = with_steps_run(found, connection)
    except LakefeedError as error:
        return replace(found, error=error)
    return found


def _replication_needs(connection: Connection) -> tuple[Need, ...]:
    """Why the slot couldn't be read over this connection, as through a pooler."""
    reason = why_no_replication(connection)
    return (Need(reason.what, reason.do or ""),) if reason else ()


def _facts(session: PgConnection, project: Project, source: str) -> tuple[Facts, list[Need]]:
    """What the source has, and the declared tables that it lacks."""
    settings, live = project.wal_of(source), read_live(session, project, source)
    now = project.with_catalogue(project.catalogue.with_tables(source, live.tables))
    wanted = [table for table in now.tables_of(source) if table.reads_log]
    oids = [oid for table in wanted if (oid := _oid(table, live))]
    found = logged_tables(session, oids)
    facts = Facts(
        source=source,
        server=read_server(session),
        slot=slot_of(session, settings.slot),
        publication=publication_of(session, settings.publication),
        membership=membership_of(session, settings.publication),
        tables=tuple(found[oid] for oid in oids if oid in found),
        is_new=not has_read_log(project, source),
        was_decoded=was_decoded(session, settings.slot),
    )
    missing = [
        Need(
            f"`{table.qualified}` doesn't exist in the database, or this role can't see it",
            f"check the name, or remove it: {table.where}",
            about=table.qualified,
        )
        for table in wanted
        if _oid(table, live) is None and not table.is_paused
    ]
    return facts, missing


def _oid(table: Table, live: LiveSource) -> int | None:
    found = live.tables.get(table.qualified)
    return found.identity if found else None
