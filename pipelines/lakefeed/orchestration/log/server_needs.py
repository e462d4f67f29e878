"""What a server, or the role there, lacks for its log to be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lakefeed.declaration.models.wal import WalSettings
from lakefeed.orchestration.log.steps import Need
from lakefeed.source.log.checks import STANDBY_SINCE
from lakefeed.source.log.server import Server
from lakefeed.source.replication.membership import LoggedTable
from lakefeed.sql import literal, quote

_RESTART = "then restart the server"
_LOGICAL = {
    "rds": "set `rds.logical_replication = 1` in the parameter group, and reboot the instance",
    "cloudsql": "set the flag `cloudsql.logical_decoding = on`, which restarts the instance",
    "azure": "set the server parameter `wal_level = logical`, and restart the server",
}
_MEGABYTE = 1024 * 1024
_DEFAULT_KEPT = 20 * 1024


@dataclass(frozen=True)
class Intent:
    """What is going to be done on the server.

    Attributes:
        added: the tables to publish.
        alters: the publication that is to be altered by a role that doesn't own it; empty if there
            is none.
        allow_unbounded: create a slot although nothing bounds what it may hold back.
    """

    added: Sequence[LoggedTable]
    creates_slot: bool
    publishes: bool
    creates_publication: bool
    alters: str
    allow_unbounded: bool


def server_needs(server: Server, settings: WalSettings, intent: Intent) -> Iterator[Need]:
    """What is missing on the server before anything can be done there."""
    if server.is_standby and server.version < STANDBY_SINCE:
        yield Need(
            f"this is a standby of PostgreSQL {server.version}: standbys can decode their log "
            f"from PostgreSQL {STANDBY_SINCE} on",
            "declare the connection of the primary",
        )
        return
    if server.wal_level != "logical":
        yield Need(
            f"the log has no rows: `wal_level` is `{server.wal_level}`",
            _LOGICAL.get(server.provider, f"as a superuser; {_RESTART}:"),
            () if server.provider else ("alter system set wal_level = 'logical';",),
        )
    if not server.may_replicate:
        yield _replication(server)
    if intent.creates_slot:
        yield from _needs_of_slot(server, settings, allow_unbounded=intent.allow_unbounded)
    if intent.publishes:
        yield from _needs_of_publication(server, intent)


def _needs_of_slot(
    server: Server, settings: WalSettings, *, allow_unbounded: bool
) -> Iterator[Need]:
    if server.slots <= server.slots_used:
        yield Need(
            f"all {server.slots} replication slots are in use (`max_replication_slots`)",
            *_setting(server, "max_replication_slots", server.slots_used + 2),
        )
    if server.senders == 0:
        yield Need(
            "the server has no replication connections (`max_wal_senders` is 0)",
            *_setting(server, "max_wal_senders", 10),
        )
    if server.most_kept is None and not allow_unbounded:
        bound = max(_DEFAULT_KEPT, 2 * (settings.max_wal or 0) // _MEGABYTE)
        statement = f"alter system set max_slot_wal_keep_size = '{bound // 1024}GB';"
        yield Need(
            "nothing bounds what a slot may hold back (`max_slot_wal_keep_size` is -1): if nobody "
            "advances it, since runs have stopped, the server keeps its log until the disk is full",
            "set a bound, beyond which the slot is lost and its tables must be read in full; or "
            "accept that: lakefeed cdc setup --allow-unbounded-wal",
            () if server.provider else (statement, "select pg_reload_conf();"),
        )


def _replication(server: Server) -> Need:
    role = quote(server.role)
    by_provider = {
        "rds": (f"grant rds_replication to {role};",),
        "cloudsql": (f"alter role {role} with replication;",),
    }
    return Need(
        f"the role `{server.role}` may not read the log: it lacks REPLICATION",
        "as a role that may grant it:",
        by_provider.get(server.provider, (f"alter role {role} replication;",)),
    )


def _setting(server: Server, name: str, value: int) -> tuple[str, tuple[str, ...]]:
    if server.provider:
        return f"set the server's parameter `{name}` to {value} or more, and restart it", ()
    return f"as a superuser; {_RESTART}:", (f"alter system set {name} = {literal(str(value))};",)


def _needs_of_publication(server: Server, intent: Intent) -> Iterator[Need]:
    if server.is_standby:
        yield Need("this is a standby, where nothing can be published", "on the primary:")
        return
    if intent.creates_publication and not server.may_create:
        yield Need(
            f"the role `{server.role}` may not create publications in `{server.database}`",
            "run the statements below as the owner of the tables, or grant it:",
            (f"grant create on database {quote(server.database)} to {quote(server.role)};",),
        )
    foreign = [table.qualified for table in intent.added if not table.is_owned]
    if foreign or intent.alters:
        what = f"the publication `{intent.alters}`" if intent.alters else ", ".join(foreign)
        yield Need(
            f"the role `{server.role}` doesn't own {what}, and only owners publish tables",
            "run the statements below as the owner, or as a superuser",
        )
