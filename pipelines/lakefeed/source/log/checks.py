"""Checks that a slot can be read, before it is: in whatever language the server's messages are."""

from __future__ import annotations

from psycopg2.extensions import connection as PgConnection

from lakefeed.source.log.failure import LogUnreadable, SlotLost, SlotMissing, no_publication
from lakefeed.source.log.server import Server, read_server
from lakefeed.source.log.slots import PLUGIN, Slot, slot_of

# The first version whose standbys decode their log.
STANDBY_SINCE = 16

_HAS_PUBLICATION = "select exists (select from pg_publication where pubname = %s)"


def readable_slot(session: PgConnection, name: str, publication: str) -> Slot:
    """The slot, which another session may be reading.

    Raises:
        LogUnreadable: it can't be read on this server, or not for this publication.
    """
    server = read_server(session)
    _check_server(server)
    slot = slot_of(session, name)
    if slot is None:
        raise SlotMissing.named(name)
    _check_slot(slot, server.database)
    with session.cursor() as cursor:
        cursor.execute(_HAS_PUBLICATION, [publication])
        ((has_publication,),) = cursor.fetchall()
    if not has_publication:
        raise no_publication(publication)
    return slot


def _check_server(server: Server) -> None:
    """
    Raises:
        LogUnreadable: the server decodes no log.
    """
    if server.is_standby and server.version < STANDBY_SINCE:
        raise LogUnreadable(
            f"this is a standby of PostgreSQL {server.version}, which can't decode its log",
            do=f"read from the primary; standbys can from PostgreSQL {STANDBY_SINCE} on",
        )
    if server.wal_level != "logical":
        raise LogUnreadable(
            f"the server's log has no rows: `wal_level` is `{server.wal_level}`",
            do="set `wal_level = logical` and restart the server (on Amazon RDS, the parameter "
            "`rds.logical_replication`; on Cloud SQL, the flag `cloudsql.logical_decoding`)",
        )


def _check_slot(slot: Slot, database: str) -> None:
    """
    Raises:
        LogUnreadable: the slot isn't of this kind, or is lost.
    """
    if slot.plugin != PLUGIN or slot.database != database:
        kind = f"has the plugin `{slot.plugin}`" if slot.plugin else "is a physical one"
        what = kind if slot.plugin != PLUGIN else f"is of the database `{slot.database}`"
        raise LogUnreadable(
            f"the replication slot `{slot.name}` {what}",
            do=f"name a slot of the plugin `{PLUGIN}` in `{database}` (`wal: {{slot: …}}`), or "
            "have `lakefeed cdc setup` create one",
        )
    if slot.two_phase:
        raise LogUnreadable(
            f"the replication slot `{slot.name}` shows prepared transactions before they commit "
            "(`two_phase`)",
            do="have `lakefeed cdc setup` create another one (`wal: {slot: …}`)",
        )
    if slot.is_lost:
        raise SlotLost.named(slot.name, slot.invalidation or "it never kept any of the log")
