"""Keeps the changes of a transaction that hasn't committed yet in a file."""

from __future__ import annotations

import tempfile
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import IO

from lakefeed.disk import storage_errors_named
from lakefeed.source.log.messages import Relation
from lakefeed.source.log.rows import Change, change_at

_MOST_PENDING = 256 * 1024
_CHUNK = 1024 * 1024
# A change: how many bytes follow, its table's number here, and the kind of its message.
_HEADER = Struct(">IIB")
_TRUNCATE = ord("T")


class Spool:
    """The changes of one transaction, in their order, without those that were rolled back.

    The file has no name, so that nothing is left of it whenever the process ends. Of a
    subtransaction, only its number and its first place are kept in memory.

    Args:
        folder: where the file is; None for the system's folder for temporary files.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._in_file = 0
        self._pending = bytearray()
        self._tables: list[Relation] = []
        self._numbers: dict[Relation, int] = {}
        self._subtransactions = _Places()
        self._decoded_to = 0

    @property
    def size(self) -> int:
        """How many bytes the changes have."""
        return self._in_file + len(self._pending)

    def add(self, subtransaction: int, relation: Relation, kind: int, row: bytes) -> None:
        """Adds a change.

        Args:
            subtransaction: the transaction's own number where it belongs to none.
            row: the message, from behind the table's oid.

        Raises:
            StorageFailed: the file can't be written.
        """
        self._subtransactions.note(subtransaction, self.size)
        number = self._numbers.get(relation)
        if number is None:
            number = self._numbers[relation] = len(self._tables)
            self._tables.append(relation)
        self._pending += _HEADER.pack(len(row), number, kind)
        self._pending += row
        if len(self._pending) > _MOST_PENDING:
            self._write()

    def add_truncate(self, subtransaction: int, relation: Relation) -> None:
        """Adds that a table lost all of its rows."""
        self.add(subtransaction, relation, _TRUNCATE, b"")

    def roll_back(self, subtransaction: int) -> None:
        """Forgets a subtransaction: its changes and all later ones, which it contains."""
        place = self._subtransactions.forget(subtransaction)
        if place is None or place >= self.size:
            return
        if place >= self._in_file:
            del self._pending[place - self._in_file :]
            return
        self._pending.clear()
        assert self._file is not None
        with storage_errors_named():
            self._file.truncate(place)
            self._file.seek(place)
        self._in_file = place

    def changes(self) -> Iterator[Change]:
        """The changes, in their order.

        Raises:
            StorageFailed: the file can't be read.
        """
        if self._file is None:
            yield from self._decoded(bytes(self._pending))
            return
        self._write()
        with storage_errors_named():
            self._file.seek(0)
        left, rest = self._in_file, b""
        while left:
            # A change that is larger than what was read doubles what is read.
            with storage_errors_named():
                read = self._file.read(min(max(_CHUNK, len(rest)), left))
            left -= len(read)
            chunk = rest + read
            yield from self._decoded(chunk)
            rest = chunk[self._decoded_to :]

    def close(self) -> None:
        """Deletes the file."""
        if self._file is not None:
            self._file.close()

    def _decoded(self, chunk: bytes) -> Iterator[Change]:
        """The changes that are whole in this piece of the file."""
        tables, unpack, length = self._tables, _HEADER.unpack_from, _HEADER.size
        at, end = 0, len(chunk)
        while at + length <= end:
            size, number, kind = unpack(chunk, at)
            if at + length + size > end:
                break
            if kind == _TRUNCATE:
                yield Change(tables[number], "truncate", None, None)
            else:
                yield change_at(chunk, at + length, kind, tables[number])
            at += length + size
        self._decoded_to = at

    def _write(self) -> None:
        with storage_errors_named():
            if self._file is None:
                self._file = tempfile.TemporaryFile(  # noqa: SIM115 - `close` does
                    dir=self._folder, buffering=0
                )
            view = memoryview(bytes(self._pending))
            while view:
                view = view[self._file.write(view) :]
        self._in_file += len(self._pending)
        self._pending.clear()


class _Places:
    """The place of the first change of each subtransaction: in 12 bytes, as there may be millions.

    Nearly always, a subtransaction that is noted first has the higher number.
    """

    def __init__(self) -> None:
        self._numbers = array("I")
        self._places = array("Q")
        self._others: dict[int, int] = {}
        self._last: int | None = None

    def note(self, number: int, place: int) -> None:
        if number == self._last:
            return
        self._last = number
        if not self._numbers or number > self._numbers[-1]:
            self._numbers.append(number)
            self._places.append(place)
        elif self._index(number) is None:
            self._others.setdefault(number, place)

    def forget(self, number: int) -> int | None:
        """The place of this one's first change, which is forgotten with all that lie behind it."""
        self._last = None
        index = self._index(number)
        if index is None:
            return self._others.pop(number, None)
        place = self._places[index]
        del self._numbers[index:]
        del self._places[index:]
        return place

    def _index(self, number: int) -> int | None:
        index = bisect_left(self._numbers, number)
        is_there = index < len(self._numbers) and self._numbers[index] == number
        return index if is_there else None
