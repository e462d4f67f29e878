"""The messages of a slot up to a position in the log, which is found even where nothing happens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lakefeed.errors import LakefeedError
from lakefeed.source.connections.connection import Connection
from lakefeed.source.log.failure import LogUnreadable, SlotLost, no_publication
from lakefeed.source.log.session import LogSource, open_log
from lakefeed.source.log.wire import DATA, Wire, WireError, position_of, wal_end

# How long nothing arrives before the server is asked how far it is.
_QUIET_SECONDS = 0.1
# So many equal answers in a row mean that it waits for its log to grow.
_SAME_ANSWERS = 3
# SQLSTATEs: of a publication that isn't there, of a part of the log that was removed, and of what
# the server's authors didn't expect.
_UNDEFINED_OBJECT = "42704"
_UNDEFINED_FILE = "58P01"
_INTERNAL_ERROR = "XX000"


class CannotStream(Exception):
    """The server can't send a transaction before it commits.

    So it is, in PostgreSQL 16 and 18, with one that changes a table's columns in a subtransaction,
    rolls that back, and changes them again: `could not map filenumber … to relation OID`. After the
    commit, the server can send it.
    """


class Feed:
    """The messages that a slot has, up to a position.

    Args:
        upto: messages end once the server has sent all that was committed below.

    Attributes:
        reached: up to which position that is certain.
    """

    def __init__(self, connection: Connection, source: LogSource, *, upto: int) -> None:
        self._connection = connection
        self._upto = upto
        self._open(source)

    def _open(self, source: LogSource) -> None:
        self._source = source
        self._opened = open_log(self._connection, source)
        self._wire = Wire(self._opened.session)
        self.reached = 0
        self._last = b""
        self._is_asking = False
        self._same = 0

    @property
    def sent_up_to(self) -> int:
        """About which position of the log the server has come to."""
        return max(self.reached, position_of(self._last) if self._last else 0)

    def without_streaming(self, since: int) -> None:
        """Begins again at this position, where no transaction is sent before it commits."""
        self.close()
        self._open(replace(self._source, since=max(since, self._source.since), streaming=False))

    def messages(self) -> Iterator[bytes]:
        """Each message; the plugin's begins at the byte `BODY` of `wire`.

        Raises:
            CannotStream: the server can't send a transaction before it commits.
            LogUnreadable: the slot was lost, or the server ended the stream.
            SourceUnreachable: the connection was lost.
        """
        read = self._wire.read
        try:
            while True:
                data = read()
                if data is None:
                    self._wait()
                elif data[0] == DATA:
                    self._same, self._last = 0, data
                    yield data
                elif self._is_end(data):
                    return
        except WireError as error:
            failure = self._ended(error)
        raise failure

    def verify(self) -> None:
        """Makes sure that the server left out nothing.

        Raises:
            LogUnreadable: the publication wasn't there when tables were changed.
        """
        publication = self._source.publication
        if any(publication in warning for warning in self._wire.warnings):
            raise no_publication(publication)

    def close(self) -> None:
        """Closes the connection."""
        self._opened.close()

    def _wait(self) -> None:
        with self._opened.line.waiting():
            if self._wire.wait(_QUIET_SECONDS) or self._is_asking:
                return
            self._wire.tell_alive(ask=True)
            self._is_asking = True

    def _is_end(self, keepalive: bytes) -> bool:
        reached, wants_answer = wal_end(keepalive)
        if wants_answer:
            self._wire.tell_alive()
        if reached >= self._upto:
            self.reached = self._upto
            return True
        # The position may lie within a record of which the disk has the beginning only: none is
        # reached then before more is written. It is no commit that anybody was told of.
        if self._is_asking:
            self._same = self._same + 1 if reached == self.reached else 0
            self._is_asking = False
        self.reached = reached
        return self._same >= _SAME_ANSWERS

    def _ended(self, error: WireError) -> LakefeedError | CannotStream:
        opened, source = self._opened, self._source
        if opened.line.ended:
            return opened.line.failure()
        if error.code == _INTERNAL_ERROR and source.streaming:
            return CannotStream(error.message)
        if error.code == _UNDEFINED_OBJECT:
            return no_publication(source.publication)
        if error.code == _UNDEFINED_FILE:
            return SlotLost.named(source.slot, error.message)
        if not error.code or error.code.startswith(("08", "57P")):
            return opened.connection.lost()
        return LogUnreadable(
            f"{opened.connection.shown} ended the stream of the slot `{source.slot}`: "
            f"{error.message}",
            do="run again; nothing was confirmed",
        )
