"""Decides what `lakefeed cdc setup` has to do; from plain data alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lakefeed.declaration.models.wal import WalSettings
from lakefeed.orchestration.log.server_needs import Intent, server_needs
from lakefeed.orchestration.log.steps import Need, Plan, Step
from lakefeed.source.log.failure import own_slot
from lakefeed.source.log.server import Server
from lakefeed.source.log.slots import (
    FAILOVER_SINCE,
    PLUGIN,
    Slot,
    create_slot_sql,
    drop_slot_sql,
)
from lakefeed.source.replication.membership import KINDS, PARTITIONED, LoggedTable, Membership
from lakefeed.source.replication.publications import Publication, ReplicaIdentity
from lakefeed.source.replication.publishing import adopting, creating
from lakefeed.sql import sql_name


@dataclass(frozen=True)
class Facts:
    """What a source has, as far as reading its log is concerned.

    Attributes:
        tables: the declared tables with `cursor: wal` that exist there.
        is_new: whether this project has never read the log of the source.
        was_decoded: whether something has been read from the slot, as far as known.
    """

    source: str
    server: Server
    slot: Slot | None
    publication: Publication | None
    membership: Membership | None
    tables: tuple[LoggedTable, ...]
    is_new: bool
    was_decoded: bool


def plan_setup(facts: Facts, settings: WalSettings, *, allow_unbounded: bool) -> Plan:
    """What is missing for the log of a source to be read.

    Args:
        facts: of a source with at least one table that reads the log.
        allow_unbounded: create a slot although nothing bounds what it may hold back.
    """
    unfit = tuple(need for table in facts.tables for need in _unfit(table, facts.tables))
    refused = {need.about for need in unfit}
    fit = [table for table in facts.tables if table.qualified not in refused]
    if foreign := _foreign(facts, settings):
        return Plan(needs=(foreign,), unfit=unfit)
    is_new = _needs_slot(facts)
    publishing = _publishing(facts, settings, fit, is_new=is_new)
    steps = [*publishing, *(_slot_steps(facts, settings) if is_new and fit else ())]
    membership = facts.membership
    intent = Intent(
        added=fit if publishing else (),
        creates_slot=is_new and bool(fit),
        publishes=bool(publishing),
        creates_publication=membership is None,
        alters="" if membership is None or membership.is_owned else settings.publication,
        allow_unbounded=allow_unbounded,
    )
    needs = server_needs(facts.server, settings, intent)
    return Plan(tuple(needs), unfit, tuple(steps), tuple(_remarks(facts, settings)))


def _needs_slot(facts: Facts) -> bool:
    """Without the publication, what a slot has kept can't be decoded before PostgreSQL 18."""
    return facts.slot is None or facts.slot.is_lost or facts.publication is None


def _foreign(facts: Facts, settings: WalSettings) -> Need | None:
    """Why the slot or the publication of this name can't be the project's."""
    slot, publication = facts.slot, facts.publication
    if slot and (slot.plugin != PLUGIN or slot.database != facts.server.database):
        what = f"is of the database `{slot.database}`"
        if slot.plugin != PLUGIN:
            what = f"has the plugin `{slot.plugin}`" if slot.plugin else "is a physical one"
        return Need(
            f"the replication slot `{settings.slot}` {what}",
            "name another one: wal: {slot: …}",
        )
    if publication and publication.all_tables:
        return Need(
            f"the publication `{settings.publication}` is one for all tables: updates of a table "
            "without replica identity fail, also of tables that aren't declared",
            "name another one (wal: {publication: …}), or drop it: lakefeed cdc drop",
        )
    return _of_another_project(facts, settings) if facts.is_new else None


def _of_another_project(facts: Facts, settings: WalSettings) -> Need | None:
    """What shows that the slot or the publication is used by somebody else.

    A setup creates both, so that a publication without the slot was made by something else.
    """
    if facts.was_decoded:
        return Need(
            f"the slot `{settings.slot}` was read before: by another project or environment, which "
            "would lose changes, or by this one with another raw layer",
            own_slot(facts.source),
        )
    if facts.slot or facts.membership is None:
        return None
    declared, members = {table.oid for table in facts.tables}, facts.membership.members
    others = [sql_name(*named) for oid, named in members.items() if oid not in declared]
    if others:
        return Need(
            f"the publication `{settings.publication}` has tables that this project doesn't read "
            f"by the log ({', '.join(others)}): another project or environment may",
            f"if one does, {own_slot(facts.source)}",
        )
    return None


def _unfit(table: LoggedTable, tables: Sequence[LoggedTable]) -> Iterator[Need]:
    """Why a table isn't published."""
    name = table.qualified
    if table.kind not in KINDS:
        yield Need(
            f"{name} is no table, and has no changes of its own", "use another cursor", about=name
        )
        return
    if not table.is_durable:
        yield Need(
            f"{name} is unlogged: its changes aren't in the log",
            "use another cursor, or make it durable:",
            (f"alter table {name} set logged;",),
            about=name,
        )
        return
    covered_by = next((t for t in tables if t is not table and _is_part(table, t)), None)
    if covered_by:
        yield Need(
            f"{name} is a partition of {covered_by.qualified}, which is "
            "declared as well: its changes are sent as changes of that",
            "declare one of them",
            about=name,
        )
    for identity in table.identities:
        if identity.is_nothing:
            yield _without_identity(table, identity)


def _is_part(table: LoggedTable, root: LoggedTable) -> bool:
    mine, of_root = ({part.table for part in t.identities} for t in (table, root))
    return root.kind == PARTITIONED and table.root == root.root and mine <= of_root


def _without_identity(table: LoggedTable, identity: ReplicaIdentity) -> Need:
    name = identity.table
    what = (
        "has `replica identity nothing`"
        if identity.kind == "n"
        else "has neither a primary key nor another replica identity"
    )
    index = table.index_for(name)
    how = f"using index {sql_name(index)}" if index else "full"
    hint = "give it one" if index else "give it a primary key, or log old rows as a whole"
    return Need(
        f"{name} {what}: if it were published, updates and deletes of the application would fail",
        f"{hint}:",
        (f"alter table {name} replica identity {how};",),
        about=table.qualified,
    )


def _publishing(
    facts: Facts, settings: WalSettings, fit: Sequence[LoggedTable], *, is_new: bool
) -> list[Step]:
    version = facts.server.version
    if facts.publication is None or facts.membership is None:
        why = "publish the tables"
        statements = creating(settings.publication, fit, version=version)
    else:
        why = "publish the declared tables"
        statements = adopting(
            facts.publication,
            facts.membership,
            fit,
            version=version,
            waits_for_writers=not is_new,
        )
    return [Step(why, tuple(statements), on_primary=True)] if statements else []


def _slot_steps(facts: Facts, settings: WalSettings) -> Iterator[Step]:
    if facts.slot:
        why = (
            f"remove the slot, which is lost ({facts.slot.invalidation or 'it kept nothing'})"
            if facts.slot.is_lost
            else "remove the slot: what it kept was written without the publication"
        )
        yield Step(
            f"{why}; its tables must be read in full then",
            (f"{drop_slot_sql(settings.slot)};",),
        )
    yield Step(
        "keep the log from now on; this waits for transactions that are open",
        (f"{create_slot_sql(settings.slot, failover=_survives_failover(facts.server))};",),
    )


def _survives_failover(server: Server) -> bool:
    """Whether standbys that are set up for it take a slot over."""
    return server.version >= FAILOVER_SINCE and not server.is_standby


def _remarks(facts: Facts, settings: WalSettings) -> Iterator[str]:
    server = facts.server
    if server.most_kept is None and not _needs_slot(facts):
        yield (
            "nothing bounds what the slot may hold back (`max_slot_wal_keep_size` is -1): if "
            "nobody advances it, the disk of the server fills up"
        )
    if server.most_kept is not None and (settings.max_wal or server.most_kept) >= server.most_kept:
        yield (
            f"the slot is lost with {server.most_kept / 1e9:,.1f} GB (`max_slot_wal_keep_size`), "
            "before `max_wal` leaves a table behind; declare less: wal: {max_wal: …}"
        )
    if server.idle_timeout:
        yield (
            f"the slot is lost if nothing reads it for {server.idle_timeout} "
            "(`idle_replication_slot_timeout`)"
        )
    if facts.membership and facts.membership.schemas:
        listed = ", ".join(facts.membership.schemas)
        yield (
            f"`{settings.publication}` publishes all tables in {listed}, whether declared or not, "
            "and whether they have a replica identity or not"
        )
