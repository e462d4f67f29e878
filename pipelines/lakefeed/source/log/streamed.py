"""Transactions whose changes the server sends before they commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import Struct

from lakefeed.source.log.messages import (
    ROWS,
    Relation,
    StreamStop,
    Truncate,
    parse,
)
from lakefeed.source.log.rows import Change
from lakefeed.source.log.spool import Spool
from lakefeed.source.log.tables import Tables, undescribed
from lakefeed.source.log.wire import BODY

_XID_AND_OID = Struct(">II").unpack_from
_XID = Struct(">I").unpack_from
_AFTER_OID = BODY + 9


class _Transaction:
    def __init__(self, folder: Path | None) -> None:
        self.spool = Spool(folder)
        # The server describes tables to each of these transactions anew.
        self.tables: dict[int, tuple[int, Relation]] = {}


class Streamed:
    """Keeps the changes of transactions until they commit.

    Attributes:
        is_open: whether the next message belongs to one.
        taken: how many rows' changes were kept.
    """

    def __init__(self, tables: Tables, folder: Path | None) -> None:
        self.is_open = False
        self.taken = 0
        self._tables = tables
        self._folder = folder
        self._transactions: dict[int, _Transaction] = {}
        self._current = _Transaction(folder)

    def start(self, xid: int) -> None:
        """Takes the following messages as those of this transaction."""
        if xid not in self._transactions:
            self._transactions[xid] = _Transaction(self._folder)
        self._current = self._transactions[xid]
        self.is_open = True

    def take(self, data: bytes, kind: int) -> None:
        """Keeps what this message says.

        Raises:
            StorageFailed: it can't be kept.
            Unreadable: it can't be understood.
        """
        if kind in ROWS:
            subtransaction, oid = _XID_AND_OID(data, BODY + 1)
            if oid in self._tables.wanted:
                row = data[_AFTER_OID:]
                self.taken += 1
                self._current.spool.add(subtransaction, self._relation(oid), kind, row)
            return
        match parse(data, BODY, streaming=True):
            case StreamStop():
                self.is_open = False
            case Relation() as relation:
                if relation.oid in self._tables.wanted:
                    self._current.tables[relation.oid] = self._tables.said(relation)
            case Truncate(oids):
                (subtransaction,) = _XID(data, BODY + 1)
                for oid in oids:
                    if oid in self._tables.wanted:
                        self._current.spool.add_truncate(subtransaction, self._relation(oid))

    def size_of(self, xid: int) -> int:
        """How many bytes the changes of a transaction have."""
        return self._transactions[xid].spool.size if xid in self._transactions else 0

    def commit(self, xid: int) -> Iterator[Change]:
        """The changes of a transaction that has committed; they are kept no longer.

        Raises:
            StorageFailed: they can't be read.
        """
        transaction = self._transactions.pop(xid, None)
        if transaction is None:
            return
        for number, relation in transaction.tables.values():
            self._tables.learn(number, relation)
        try:
            yield from transaction.spool.changes()
        finally:
            transaction.spool.close()

    def roll_back(self, xid: int, subtransaction: int) -> None:
        """Forgets a subtransaction, or the transaction if both are the same.

        Raises:
            StorageFailed: the file can't be cut.
        """
        if xid == subtransaction:
            transaction = self._transactions.pop(xid, None)
            if transaction is not None:
                transaction.spool.close()
        elif xid in self._transactions:
            self._transactions[xid].spool.roll_back(subtransaction)

    def close(self) -> None:
        """Deletes what is kept of all transactions."""
        self.is_open = False
        while self._transactions:
            self._transactions.popitem()[1].spool.close()

    def _relation(self, oid: int) -> Relation:
        described = self._current.tables.get(oid)
        if described is None:
            raise undescribed(oid)
        return described[1]
