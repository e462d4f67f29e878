"""Replication slots: what keeps the log until it was read, and from where it is read again."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass

from psycopg2 import errors
from psycopg2.extensions import connection as PgConnection

from lakefeed.source.log.failure import SlotBusy, SlotMissing
from lakefeed.source.log.lsn import lsn_text, parse_lsn
from lakefeed.sql import literal

PLUGIN = "pgoutput"
# A session that ends, or was killed, has the slot until the server notices.
BUSY_SECONDS = 5.0
PAUSE_SECONDS = 0.1
# The first version with slots that a standby takes over.
FAILOVER_SINCE = 17

# What a version doesn't have is null.
_SLOT = """
select
    s.slot_name, s.slot_type, s.plugin, s.database, s.active_pid, s.temporary, s.wal_status,
    s.restart_lsn::text, s.confirmed_flush_lsn::text, s.safe_wal_size,
    pg_wal_lsn_diff(
        case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
        s.restart_lsn
    )::bigint,
    coalesce((to_jsonb(s) ->> 'two_phase')::bool, false),
    coalesce((to_jsonb(s) ->> 'failover')::bool, false),
    coalesce(
        to_jsonb(s) ->> 'invalidation_reason',
        case
            when s.wal_status = 'lost' and pg_is_in_recovery()
            then 'wal_removed, or a conflict with recovery'
            when s.wal_status = 'lost' then 'wal_removed'
        end
    ),
    (to_jsonb(s) ->> 'inactive_since')::timestamptz
from pg_replication_slots as s
where s.slot_name = %s
"""
_FLUSHED = """
select case
    when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn()
end::text
"""
# The view came with 14, as did the version of the protocol that is read.
_DECODED = "select total_bytes > 0 from pg_stat_replication_slots where slot_name = %s"
_DECODED_SINCE = 140_000


@dataclass(frozen=True)
class Slot:
    """A replication slot, as `pg_replication_slots` shows it.

    Attributes:
        plugin: the output plugin; None for a physical slot.
        database: whose changes it decodes; None for a physical slot.
        active_pid: the server's process that reads it; None if nobody does.
        wal_status: `reserved`, `extended` (beyond `max_wal_size`), `unreserved` (about to be lost)
            or `lost`.
        restart_lsn: the log is kept from here on; None if it never was, or is lost.
        confirmed_flush_lsn: reading goes on from here: all commits that begin before are done with.
        safe_wal_size: how many bytes may still be written before it can be lost; None if there is
            no bound (`max_slot_wal_keep_size`).
        retained: how many bytes of the log it keeps.
        invalidation: why it can't be read any more, such as `wal_removed` or `idle_timeout`, in the
            server's words; None if it can.
        inactive_since: when it was last read; None if it is being read, or before PostgreSQL 17.
    """

    name: str
    kind: str
    plugin: str | None
    database: str | None
    active_pid: int | None
    temporary: bool
    wal_status: str | None
    restart_lsn: int | None
    confirmed_flush_lsn: int | None
    safe_wal_size: int | None
    retained: int | None
    two_phase: bool
    failover: bool
    invalidation: str | None
    inactive_since: dt.datetime | None

    @property
    def begins_at(self) -> int:
        """Where reading goes on; 0 for a slot that can't be read."""
        return self.confirmed_flush_lsn or 0

    @property
    def is_lost(self) -> bool:
        """Whether the server no longer has what the slot would go on from."""
        return self.invalidation is not None or self.restart_lsn is None


def slot_of(session: PgConnection, name: str) -> Slot | None:
    """The slot of this name; None if there is none."""
    with session.cursor() as cursor:
        cursor.execute(_SLOT, [name])
        row = cursor.fetchone()
    if row is None:
        return None
    return Slot(
        name=row[0],
        kind=row[1],
        plugin=row[2],
        database=row[3],
        active_pid=row[4],
        temporary=row[5],
        wal_status=row[6],
        restart_lsn=_lsn(row[7]),
        confirmed_flush_lsn=_lsn(row[8]),
        safe_wal_size=row[9],
        retained=row[10],
        two_phase=row[11],
        failover=row[12],
        invalidation=row[13],
        inactive_since=row[14],
    )


def was_decoded(session: PgConnection, name: str) -> bool:
    """Whether something has been read from a slot since it was created.

    The server counts that in its statistics, which a crash resets: True is certain, False isn't.
    """
    if session.server_version < _DECODED_SINCE:
        return False
    with session.cursor() as cursor:
        cursor.execute(_DECODED, [name])
        row = cursor.fetchone()
    return bool(row and row[0])


def flushed(session: PgConnection) -> int:
    """Up to where the server's log is on its disk; on a standby, up to where it is replayed."""
    with session.cursor() as cursor:
        cursor.execute(_FLUSHED)
        ((text,),) = cursor.fetchall()
    return parse_lsn(text)


def advance(session: PgConnection, name: str, position: int) -> int:
    """Confirms all commits that begin before this position, and returns the one that is confirmed.

    It never goes back, nor beyond what is flushed. The server may forget it in a crash, and then
    shows commits again that were confirmed.

    Raises:
        SlotMissing: there is no slot of this name.
        SlotBusy: another session reads it, and still does after some seconds.
        psycopg2.Error: the server refused it for another reason, such as a lost slot.
    """
    slot = _free_slot(session, name)
    confirmed = slot.confirmed_flush_lsn or 0
    if position <= confirmed:
        return confirmed
    with session.cursor() as cursor:
        try:
            cursor.execute(
                "select end_lsn::text from pg_replication_slot_advance(%s, %s)",
                [name, lsn_text(position)],
            )
        except errors.ObjectInUse:
            raise SlotBusy.named(name, slot.active_pid) from None
        ((reached,),) = cursor.fetchall()
    return parse_lsn(reached)


def _free_slot(session: PgConnection, name: str) -> Slot:
    until = time.monotonic() + BUSY_SECONDS
    while True:
        slot = slot_of(session, name)
        if slot is None:
            raise SlotMissing.named(name)
        if slot.active_pid is None:
            return slot
        if time.monotonic() > until:
            raise SlotBusy.named(name, slot.active_pid)
        time.sleep(PAUSE_SECONDS)


def create_slot_sql(name: str, *, failover: bool = False) -> str:
    """The statement that creates a slot, from which all is read that commits afterwards.

    Args:
        failover: have standbys take it over, from PostgreSQL 17 on.
    """
    further = ", twophase => false, failover => true" if failover else ""
    return f"select pg_create_logical_replication_slot({literal(name)}, '{PLUGIN}'{further})"


def drop_slot_sql(name: str) -> str:
    """The statement that drops a slot, so that the server no longer keeps its log for it."""
    return f"select pg_drop_replication_slot({literal(name)})"


def _lsn(text: str | None) -> int | None:
    return None if text is None else parse_lsn(text)
