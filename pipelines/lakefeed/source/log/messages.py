"""Messages of PostgreSQL's output plugin `pgoutput`, except the rows (`rows`).

Their format: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct

# The first bytes of the messages of rows, by what happened to the row.
INSERT, UPDATE, DELETE = b"IUD"
ROWS = frozenset((INSERT, UPDATE, DELETE))

_EPOCH = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_BEGIN = Struct(">QqI")
_COMMIT = Struct(">BQQq")
_NUMBER = Struct(">I")
_TYPE = Struct(">Ii")
_STREAM_COMMIT = Struct(">IBQQq")
_STREAM_ABORT = Struct(">II")
_TRUNCATE = Struct(">IB")
# Types, origins, and what applications write into the log themselves.
_IGNORED = frozenset(b"YOM")
_TWO_PHASE = frozenset(b"bPKrp")
_WITH_XID = frozenset(b"RT")


class Unreadable(Exception):
    """A message of a kind or form that isn't known; the text says which."""


@dataclass(frozen=True)
class Column:
    """A column that a message of rows has, at its place.

    Attributes:
        type: its type's oid.
        modifier: such as its length, as in `pg_attribute.atttypmod`; -1 for none.
        is_key: whether it belongs to the replica identity; with `full`, all columns do.
    """

    name: str
    type: int
    modifier: int
    is_key: bool


@dataclass(frozen=True)
class Relation:
    """A table as the following messages have it: a partition's root, if it is published as such.

    Attributes:
        identity: `d` (primary key), `i` (an index), `f` (all columns), `n` (nothing), as in
            `pg_class.relreplident`.
    """

    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class Begin:
    """A transaction that has committed; its changes follow.

    Attributes:
        xid: of the transaction itself, not of its subtransactions; 32 bits.
        commit_lsn: where the record of its commit begins. Of all transactions, the one that
            committed first has the lowest.
    """

    xid: int
    commit_lsn: int
    committed_at: dt.datetime


@dataclass(frozen=True)
class Commit:
    """The end of a transaction.

    Attributes:
        end_lsn: where the record of its commit ends: the next transaction's may begin there.
    """

    end_lsn: int


@dataclass(frozen=True)
class Truncate:
    """Tables that lost all of their rows at once."""

    relations: tuple[int, ...]


@dataclass(frozen=True)
class StreamStart:
    """Changes of a transaction that hasn't committed yet follow."""

    xid: int


@dataclass(frozen=True)
class StreamStop:
    """The end of such changes; more may follow later."""


@dataclass(frozen=True)
class StreamCommit:
    """The commit of a transaction whose changes were sent before."""

    begin: Begin
    commit: Commit


@dataclass(frozen=True)
class StreamAbort:
    """A rollback of a transaction or, where the two differ, of one of its subtransactions."""

    xid: int
    subtransaction: int


@dataclass(frozen=True)
class Ignored:
    """A message that says nothing about rows."""


Message = (
    Relation | Begin | Commit | Truncate | StreamStart | StreamStop | StreamCommit | StreamAbort
    | Ignored
)  # fmt: skip


def parse(data: bytes, at: int = 0, *, streaming: bool = False) -> Message:
    """The message that begins at this byte, unless it is one of rows.

    Args:
        streaming: whether it lies between StreamStart and StreamStop, where tables and rows are
            preceded by a transaction's number.

    Raises:
        Unreadable: its kind is unknown, or belongs to options that weren't asked for.
    """
    kind = data[at]
    if kind in _READERS:
        after_xid = 4 if streaming and kind in _WITH_XID else 0
        return _READERS[kind](data, at + 1 + after_xid)
    if kind in _IGNORED:
        return Ignored()
    if kind in _TWO_PHASE:
        raise Unreadable("it announces prepared transactions (`two_phase`)")
    raise Unreadable(f"it sent a message of the unknown kind {chr(kind)!r}")


def _begin(data: bytes, at: int) -> Begin:
    lsn, moment, xid = _BEGIN.unpack_from(data, at)
    return Begin(xid, lsn, _time(moment))


def _commit(data: bytes, at: int) -> Commit:
    _, _, end, _ = _COMMIT.unpack_from(data, at)
    return Commit(end)


def _stream_start(data: bytes, at: int) -> StreamStart:
    return StreamStart(*_NUMBER.unpack_from(data, at))


def _stream_commit(data: bytes, at: int) -> StreamCommit:
    xid, _, lsn, end, moment = _STREAM_COMMIT.unpack_from(data, at)
    return StreamCommit(Begin(xid, lsn, _time(moment)), Commit(end))


def _stream_abort(data: bytes, at: int) -> StreamAbort:
    return StreamAbort(*_STREAM_ABORT.unpack_from(data, at))


def _time(microseconds: int) -> dt.datetime:
    return _EPOCH + dt.timedelta(microseconds=microseconds)


def _relation(data: bytes, at: int) -> Relation:
    (oid,) = _NUMBER.unpack_from(data, at)
    schema, at = _text(data, at + 4)
    name, at = _text(data, at)
    # Of tables of PostgreSQL's own, the schema is left out.
    return Relation(
        oid=oid,
        schema=schema or "pg_catalog",
        name=name,
        identity=chr(data[at]),
        columns=tuple(_columns(data, at + 3, int.from_bytes(data[at + 1 : at + 3], "big"))),
    )


def _columns(data: bytes, at: int, count: int) -> Iterator[Column]:
    for _ in range(count):
        is_key = bool(data[at] & 1)
        name, at = _text(data, at + 1)
        kind, modifier = _TYPE.unpack_from(data, at)
        at += _TYPE.size
        yield Column(name, kind, modifier, is_key)


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.index(0, at)
    return data[at:end].decode(), end + 1


def _truncate(data: bytes, at: int) -> Truncate:
    count, _ = _TRUNCATE.unpack_from(data, at)
    oids = Struct(f">{count}I").unpack_from(data, at + _TRUNCATE.size)
    return Truncate(oids)


_READERS: dict[int, Callable[[bytes, int], Message]] = {
    ord("B"): _begin,
    ord("C"): _commit,
    ord("R"): _relation,
    ord("T"): _truncate,
    ord("S"): _stream_start,
    ord("E"): lambda *_: StreamStop(),
    ord("c"): _stream_commit,
    ord("A"): _stream_abort,
}
