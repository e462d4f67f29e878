"""`lakefeed cdc drop`: removes the slots and publications by which the log of sources is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lakefeed.declaration.models.wal import WalSettings
from lakefeed.declaration.project import Project
from lakefeed.errors import LakefeedError
from lakefeed.loading.log.positions import has_read_log
from lakefeed.orchestration.log.steps import Need, Outcome, Plan, Step, with_steps_run
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.source.log.server import Server, read_server
from lakefeed.source.log.slots import PLUGIN, Slot, drop_slot_sql, slot_of, was_decoded
from lakefeed.source.replication.membership import Membership, membership_of
from lakefeed.source.replication.publications import drop_publication_sql


@dataclass(frozen=True)
class SourceDrop(Outcome):
    """What is there to be removed of a source, and whether it was.

    Attributes:
        tables: the tables that read the log, as declared.
        retained: how many bytes of the log the slot holds back; None without a slot.
        is_of_others: whether something has read it, but never this project.
    """

    tables: tuple[str, ...] = ()
    retained: int | None = None
    is_of_others: bool = False


def drop(project: Project, sources: Sequence[str], *, applies: bool) -> list[SourceDrop]:
    """What these sources have of slots and publications; removes it if asked to.

    Side effects: with `applies`, drops the slot and the publication of each source.
    """
    return [_of_source(project, source, applies=applies) for source in sources]


def leftovers(project: Project) -> list[SourceDrop]:
    """The slots and publications of sources of which no table reads the log any more.

    Sources that can't be reached are left out, and those whose slot another project reads.
    """
    logging = {table.source for table in project.tables if table.reads_log}
    idle = [name for name in project.declaration.sources if name not in logging]
    return [
        found
        for found in drop(project, idle, applies=False)
        if found.plan.steps and not found.is_of_others
    ]


def _of_source(project: Project, source: str, *, applies: bool) -> SourceDrop:
    settings = project.wal_of(source)
    tables = tuple(t.shown for t in project.tables_of(source) if t.reads_log)
    found = SourceDrop(source, tables=tables)
    try:
        connection = connection_of(project, source)
        with connect(connection, "lakefeed cdc") as session:
            server = read_server(session)
            slot = slot_of(session, settings.slot)
            publication = membership_of(session, settings.publication)
            was_read = slot is not None and was_decoded(session, settings.slot)
        found = replace(
            found,
            plan=Plan(
                needs=tuple(_needs(settings, server, slot, publication)),
                steps=tuple(_steps(settings, server, slot, publication)),
            ),
            retained=slot.retained if slot else None,
            is_of_others=was_read and not has_read_log(project, source),
        )
        if applies:
            found = with_steps_run(found, connection)
    except LakefeedError as error:
        return replace(found, error=error)
    return found


def _is_ours(slot: Slot, server: Server) -> bool:
    return slot.plugin == PLUGIN and slot.database == server.database


def _needs(
    settings: WalSettings, server: Server, slot: Slot | None, publication: Membership | None
) -> Iterator[Need]:
    has_slot = slot is not None and _is_ours(slot, server)
    if slot and has_slot and slot.active_pid:
        yield Need(
            f"the slot `{slot.name}` is being read by the session with pid {slot.active_pid}",
            "wait until that run has ended",
        )
    if has_slot and not server.may_replicate:
        yield Need(
            f"the role `{server.role}` may not remove the slot: it lacks REPLICATION",
            "run the statements below as a role that has it",
        )
    if publication and not publication.is_owned:
        yield Need(
            f"the role `{server.role}` doesn't own the publication `{settings.publication}`",
            "run the statements below as its owner, or as a superuser",
        )
    if publication and server.is_standby:
        yield Need(
            "this is a standby, where no publication can be removed",
            "run the statement about the publication on the primary",
        )


def _steps(
    settings: WalSettings, server: Server, slot: Slot | None, publication: Membership | None
) -> Iterator[Step]:
    if slot and _is_ours(slot, server):
        yield Step("no longer keep the log", (f"{drop_slot_sql(settings.slot)};",))
    if publication:
        yield Step(
            "no longer publish the tables",
            (f"{drop_publication_sql(settings.publication)};",),
            on_primary=True,
        )
