"""Holds the replication slot of a source: one run at a time reads and advances it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from time import monotonic, sleep

import psycopg2

from lakefeed.declaration.project import Project
from lakefeed.errors import Refused
from lakefeed.interruption import raise_if_interrupted
from lakefeed.loading.log.positions import Positions, read_positions
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.sessions import connect
from lakefeed.source.connections.side_query import NoAnswer, ask
from lakefeed.source.connections.watched_session import WatchedSession
from lakefeed.source.log.lsn import parse_lsn
from lakefeed.source.log.slots import Slot, flushed, slot_of, was_decoded
from lakefeed.source.log.stream import Changes, changes_of
from lakefeed.source.replication.published_since import PublishedSince, published_since

# As long as runs wait for sessions (source/connections/budget.py).
_WAIT_SECONDS = 30 * 60
_RETRY_SECONDS = 1.0
# How long a run waits for commits that the application didn't wait for. Those that are still not
# flushed then come with the next run.
_SOON_SECONDS = 1.0
# A server that is busy has flushed it by then, with somebody's commit.
_QUIET_SECONDS = 0.1
# On top of what the server promises, where all must be flushed: its disk may be busy.
_BUSY_DISK_SECONDS = 5.0
# Most transactions end within a moment; others may be open for days.
_OPEN_SECONDS = 10.0
# Where a page ends, the next record begins after a header, which is the longest in a new file.
_LONGEST_HEADER = 40

# The unit of `wal_writer_delay` is a millisecond.
_INSERTED = """
select
    case
        when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_insert_lsn()
    end::text,
    current_setting('wal_block_size')::int,
    (select setting::int from pg_settings where name = 'wal_writer_delay')
"""


@dataclass(frozen=True)
class HeldSlot:
    """A source's replication slot, which no other run reads or advances meanwhile.

    Attributes:
        session: holds it.
        slot: as it was before the run's snapshot was taken; None if it doesn't exist.
        was_decoded: whether something has been read from it since it was created, as far as known.
        since: since when the publication is what it is; None if it doesn't exist.
        following: a transaction that has this number or a later one wrote nothing before that.
    """

    project: Project
    connection: Connection
    session: WatchedSession
    name: str
    slot: Slot | None
    was_decoded: bool
    since: PublishedSince | None
    following: int

    def changes(
        self, tables: Collection[int], *, upto: int, most_bytes: int, folder: Path
    ) -> Changes:
        """What the slot has of these tables, by their oids as published; see `changes_of`."""
        return changes_of(
            self.connection,
            slot=self.name,
            publication=self.project.wal_of(self.connection.source).publication,
            upto=upto,
            wanted=tables,
            most_bytes=most_bytes,
            folder=folder,
        )


def end_of_log(session: WatchedSession, *, has_all: bool = False) -> int:
    """A position after the commits that a snapshot taken before shows, as far as they are flushed.

    A commit that the application doesn't wait for (`synchronous_commit = off`) is visible up to
    three `wal_writer_delay` before it is flushed (`XLogBackgroundFlush` in PostgreSQL's xlog.c).
    Only what is flushed can be decoded; a crash takes back the rest, and its transactions' numbers.

    Args:
        has_all: wait for as long as that takes, where rows of such commits were or will be read.
            Otherwise for a moment.
    """
    with session.cursor() as cursor:
        cursor.execute(_INSERTED)
        ((text, page, delay),) = cursor.fetchall()
    inserted = parse_lsn(text)
    most = _BUSY_DISK_SECONDS + 3 * delay / 1000 if has_all else _SOON_SECONDS
    began, has_asked = monotonic(), False
    while not _is_up_to(end := flushed(session), inserted, page) and monotonic() < began + most:
        raise_if_interrupted()
        sleep(0.02)
        if not has_asked and monotonic() > began + _QUIET_SECONDS:
            _ask_to_flush(session.line.connection)
            has_asked = True
    return end


def clock_of(session: WatchedSession) -> dt.datetime:
    """The time by the server's clock."""
    with session.cursor() as cursor:
        cursor.execute("select clock_timestamp()")
        row: tuple[dt.datetime] = cursor.fetchall()[0]
    return row[0].astimezone(dt.UTC)


def _ask_to_flush(connection: Connection) -> None:
    """Has the server flush its log soon, also what no commit has asked it to.

    Those are the changes of open transactions, and what reading cleans up: where nobody commits,
    they stay as they are until a page is full. The end of a transaction that has a number is
    flushed within `wal_writer_delay`, even if it did nothing and is rolled back
    (`RecordTransactionAbort` in PostgreSQL's xact.c), and all before it.
    """
    with suppress(NoAnswer, psycopg2.Error):
        ask(connection, "select txid_current()", [], within=_SOON_SECONDS)


def _is_up_to(end: int, inserted: int, page: int) -> bool:
    """Whether no record begins between the two positions."""
    return end >= inserted or (end % page == 0 and inserted - end <= _LONGEST_HEADER)


@contextmanager
def held_slot(
    project: Project, connection: Connection, say: Callable[[str], None], tables: Collection[str]
) -> Iterator[HeldSlot]:
    """Holds the slot of a source within the block. To be opened before the snapshot is taken.

    Args:
        say: called with a message if it has to wait for another run.
        tables: those that are read by the log, by their names in the lake. If one was never loaded,
            this waits a moment for transactions that may have written to it before it was
            published.

    Raises:
        SourceUnreachable: there is no connection.
        Refused: another run has held it for half an hour.
    """
    settings = project.wal_of(connection.source)
    with connect(connection, "lakefeed log") as session:
        _wait_for(session, settings.slot, say)
        slot = slot_of(session, settings.slot)
        since = published_since(session, settings.publication)
        noted = read_positions(project.raw, connection.source)
        following = _following(session, noted, since)
        is_first = not noted.tables.keys() >= set(tables)
        until = monotonic() + (_OPEN_SECONDS if is_first else 0)
        while _open_now(session).before(following) and monotonic() < until:
            raise_if_interrupted()
            sleep(0.1)
        yield HeldSlot(
            project,
            connection,
            session=session,
            name=settings.slot,
            slot=slot,
            was_decoded=was_decoded(session, settings.slot),
            since=since,
            following=following,
        )


@dataclass(frozen=True)
class OpenNow:
    """The transactions that are open at a moment.

    Attributes:
        oldest: no transaction with a lower number is.
        following: the next number to be assigned.
        writing: those that have written something, by their numbers. A standby tells none.
    """

    oldest: int
    following: int
    writing: frozenset[int]
    is_standby: bool

    @classmethod
    def at(cls, snapshot: str, *, is_standby: bool) -> OpenNow:
        """Those of a snapshot, as `txid_current_snapshot()` gives it."""
        oldest, following, writing = snapshot.split(":")
        numbers = frozenset(int(number) for number in writing.split(",") if number)
        return cls(int(oldest), int(following), numbers, is_standby)

    def before(self, number: int) -> frozenset[int]:
        """Those with a lower number; on a standby, the oldest if it has one."""
        if self.is_standby:
            return frozenset([self.oldest] if self.oldest < number else [])
        return frozenset(one for one in self.writing if one < number)


def open_transactions(session: WatchedSession) -> frozenset[int]:
    """The transactions that have written something and are still open, by their numbers.

    None on a standby: it shows each commit that it has replayed, and decodes no other.
    """
    return _open_now(session).writing


def _open_now(session: WatchedSession) -> OpenNow:
    with session.cursor() as cursor:
        cursor.execute("select txid_current_snapshot()::text, pg_is_in_recovery()")
        ((snapshot, is_standby),) = cursor.fetchall()
    return OpenNow.at(snapshot, is_standby=is_standby)


def _following(session: WatchedSession, noted: Positions, since: PublishedSince | None) -> int:
    """The number after those of all transactions that may have begun before the publication is what
    it is: the next one where it is first seen so."""
    following = _open_now(session).following
    first = noted.published
    return (
        min(following, first.following) if first and since and first.key == since.key else following
    )


def _hold(session: WatchedSession, name: str) -> bool:
    """Takes the slot's advisory lock until the session ends; returns whether nobody else has it."""
    number = int.from_bytes(blake2b(f"slot {name}".encode(), digest_size=8).digest(), signed=True)
    with session.cursor() as cursor:
        cursor.execute("select pg_try_advisory_xact_lock(%s)", [number])
        ((is_held,),) = cursor.fetchall()
    return bool(is_held)


def _wait_for(session: WatchedSession, name: str, say: Callable[[str], None]) -> None:
    until = monotonic() + _WAIT_SECONDS
    is_said = False
    while not _hold(session, name):
        if not is_said:
            say(f"waiting for another run, which reads the log through the slot `{name}`")
            is_said = True
        if monotonic() > until:
            raise Refused(
                f"another run has been reading the log through the slot `{name}` for half an hour",
                do="wait for it to end, or end it; nothing was read",
            )
        raise_if_interrupted()
        sleep(_RETRY_SECONDS)
