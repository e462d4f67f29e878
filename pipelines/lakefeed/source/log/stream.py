"""Reads the committed changes of tables from PostgreSQL's log, in the order of the commits."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from struct import Struct
from struct import error as StructError
from types import TracebackType
from typing import Self, TypeAlias

from lakefeed.source.connections.connection import Connection
from lakefeed.source.log.failure import LogUnreadable
from lakefeed.source.log.feed import CannotStream, Feed
from lakefeed.source.log.messages import (
    ROWS,
    Begin,
    Commit,
    Message,
    Relation,
    StreamAbort,
    StreamCommit,
    StreamStart,
    Truncate,
    Unreadable,
    parse,
)
from lakefeed.source.log.rows import Change, change_at
from lakefeed.source.log.session import LogSource
from lakefeed.source.log.streamed import Streamed
from lakefeed.source.log.tables import Tables
from lakefeed.source.log.wire import BODY
from lakefeed.source.progress import Sent

Item: TypeAlias = Begin | Change | Commit

_OID = Struct(">I").unpack_from
_AFTER_OID = BODY + 5


def changes_of(
    connection: Connection,
    *,
    slot: str,
    publication: str,
    upto: int,
    wanted: Collection[int],
    since: int = 0,
    most_bytes: int | None = None,
    folder: Path | None = None,
) -> Changes:
    """Opens the log, and returns what was committed from the slot's confirmed position on.

    Nothing is confirmed: the same can be read again until the slot is advanced. To be used as a
    context manager, or closed.

    Args:
        upto: the end, such as `flushed` of `slots`: commits that begin before it are read.
        wanted: the oids of the tables, as published: of the root where the publication has
            `publish_via_partition_root`.
        since: a later position to begin at.
        most_bytes: end after the transaction with which so many bytes of changes were read.
        folder: where the changes of large transactions are kept until they commit, in files without
            a name; None for the system's folder for temporary files.

    Raises:
        LogUnreadable: the slot or the publication is missing or unfit, or the role lacks a right.
        SlotBusy: another session reads the slot.
        SourceUnreachable: the connection couldn't be opened.
    """
    feed = Feed(connection, LogSource(slot, publication, since), upto=upto)
    return Changes(feed, upto=upto, wanted=wanted, most_bytes=most_bytes, folder=folder)


class Changes:
    """An iterator of the items of each transaction that changed a wanted table.

    These are its Begin, its Changes and its Commit; transactions come in the order of their
    commits. However large they are, memory is bounded.

    Attributes:
        position: all that was committed below it was read: the next read goes on from there, and
            the slot may be advanced to it.
        leaves_more: whether it ended before the end, since it had read as much as it was to.

    Raises while iterating:
        LogUnreadable: the slot was lost or dropped, or the log can't be understood.
        SourceUnreachable: the connection was lost.
        StorageFailed: the changes of a large transaction can't be kept.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        upto: int,
        wanted: Collection[int],
        most_bytes: int | None = None,
        folder: Path | None = None,
    ) -> None:
        self.position = 0
        self._feed = feed
        self._upto = upto
        self._most_bytes = most_bytes
        self._tables = Tables(frozenset(wanted))
        self._streamed = Streamed(self._tables, folder)
        self._bytes = self._changes = 0
        self.leaves_more = False
        # A transaction of which no wanted change has come yet.
        self._begin: Begin | None = None
        self._is_within = False
        self._items = self._read()

    def since(self, position: int) -> Sent:
        """What has arrived of the log from a position on: changes of rows, and bytes."""
        size = max(self._feed.sent_up_to, self.position) - position
        return Sent(self._changes + self._streamed.taken, max(size, 0))

    def __iter__(self) -> Iterator[Item]:
        return self._items

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection, and deletes what was kept."""
        self._items.close()
        self._streamed.close()
        self._feed.close()

    def _read(self) -> Generator[Item, None, None]:
        try:
            try:
                yield from self._decoded()
            except CannotStream as error:
                if self._is_within:
                    raise Unreadable(str(error)) from None
                self._streamed.close()
                self._feed.without_streaming(self.position)
                yield from self._decoded()
        except (Unreadable, StructError, IndexError, UnicodeDecodeError) as error:
            raise LogUnreadable(
                f"the log can't be read on: {error}",
                do="please report it, with the version of the server",
            ) from error
        self._feed.verify()

    def _decoded(self) -> Iterator[Item]:
        tables, streamed = self._tables, self._streamed
        known = tables.known.get
        for data in self._feed.messages():
            kind = data[BODY]
            if streamed.is_open:
                streamed.take(data, kind)
            elif kind in ROWS:
                # Nearly all messages come this way.
                (oid,) = _OID(data, BODY + 1)
                relation = known(oid) or tables.of(oid)
                if relation is None:
                    continue
                if self._begin is not None:
                    yield self._begin
                    self._begin = None
                self._bytes += len(data)
                self._changes += 1
                yield change_at(data, _AFTER_OID, kind, relation)
            else:
                message = parse(data, BODY)
                if self._is_beyond(message):
                    self.position = max(self.position, self._upto)
                    return
                yield from self._items_of(message)
                if self.leaves_more:
                    return
        self.position = max(self.position, self._feed.reached)

    def _is_beyond(self, message: Message) -> bool:
        """Whether it announces a commit at the end or later: commits come in their order."""
        begin = message.begin if isinstance(message, StreamCommit) else message
        return isinstance(begin, Begin) and begin.commit_lsn >= self._upto

    def _items_of(self, message: Message) -> Iterator[Item]:
        match message:
            case Begin():
                self._begin, self._is_within = message, True
            case Commit():
                yield from self._end(message)
            case Relation():
                if message.oid in self._tables.wanted:
                    self._tables.learn(*self._tables.said(message))
            case Truncate(oids):
                for relation in filter(None, map(self._tables.of, oids)):
                    yield from self._begun()
                    yield Change(relation, "truncate", None, None)
            case StreamStart(xid):
                self._streamed.start(xid)
            case StreamAbort(xid, subtransaction):
                self._streamed.roll_back(xid, subtransaction)
            case StreamCommit(begin, commit):
                self._begin, self._is_within = begin, True
                self._bytes += self._streamed.size_of(begin.xid)
                for change in self._streamed.commit(begin.xid):
                    yield from self._begun()
                    yield change
                yield from self._end(commit)

    def _begun(self) -> Iterator[Begin]:
        """The transaction's Begin, before the first of its changes."""
        if self._begin is not None:
            yield self._begin
            self._begin = None

    def _end(self, commit: Commit) -> Iterator[Item]:
        self._feed.verify()
        self.position, self._is_within = commit.end_lsn, False
        had_changes, self._begin = self._begin is None, None
        if had_changes:
            yield commit
        self.leaves_more = self._most_bytes is not None and self._bytes >= self._most_bytes
