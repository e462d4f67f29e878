"""Decodes the rows in the messages of `pgoutput`: where reading the log spends its time."""

from __future__ import annotations

from enum import Enum
from struct import Struct
from typing import Literal, NamedTuple, TypeAlias

from lakefeed.source.log.messages import DELETE, INSERT, UPDATE, Relation, Unreadable


class Unchanged(Enum):
    """Marks a value that the log leaves out."""

    UNCHANGED = "unchanged"


UNCHANGED = Unchanged.UNCHANGED
Value: TypeAlias = str | Unchanged | None
Values: TypeAlias = tuple[Value, ...]
Operation: TypeAlias = Literal["insert", "update", "delete", "truncate"]


class Change(NamedTuple):
    """One change of a table.

    Attributes:
        new: the row after it, in the order of `relation.columns`: PostgreSQL's text of each value.
            UNCHANGED is a long value that an update left as it was and that isn't in the log.
            None for deletes and truncates.
        old: the row before it, of deletes, and of updates that changed the replica identity or
            whose table has `replica identity full`; otherwise None. UNCHANGED is a column that
            doesn't belong to the replica identity.
    """

    relation: Relation
    operation: Operation
    new: Values | None
    old: Values | None


_LENGTH = Struct(">I").unpack_from
_TEXT, _NULL, _LEFT_OUT = b"tnu"
_KEY, _OLD = b"KO"
_make = tuple.__new__


def change_at(data: bytes, at: int, kind: int, relation: Relation) -> Change:
    """The change of a row.

    Args:
        at: the byte after the relation's oid.
        kind: INSERT, UPDATE or DELETE, the first byte of the message.

    Raises:
        Unreadable: its form is unknown.
    """
    if kind == INSERT:
        return _make(Change, (relation, "insert", _values(data, at + 1, relation)[0], None))
    mark, old = data[at], None
    if mark in (_KEY, _OLD):
        old, at = _values(data, at + 1, relation)
        if mark == _KEY:
            old = tuple(
                value if column.is_key else UNCHANGED
                for value, column in zip(old, relation.columns, strict=True)
            )
    if kind == DELETE:
        return _make(Change, (relation, "delete", None, old))
    if kind != UPDATE:
        raise Unreadable(f"it sent a row of the unknown kind {chr(kind)!r}")
    return _make(Change, (relation, "update", _values(data, at + 1, relation)[0], old))


def _values(data: bytes, at: int, relation: Relation) -> tuple[Values, int]:
    """The values that begin with their count, and the byte after them."""
    count = data[at] << 8 | data[at + 1]
    at += 2
    values: list[Value] = []
    append = values.append
    for _ in range(count):
        kind = data[at]
        if kind == _TEXT:
            start = at + 5
            at = start + _LENGTH(data, at + 1)[0]
            append(data[start:at].decode())
        elif kind == _NULL:
            append(None)
            at += 1
        elif kind == _LEFT_OUT:
            append(UNCHANGED)
            at += 1
        else:
            raise Unreadable(f"it sent a value of the unknown kind {chr(kind)!r}")
    if count != len(relation.columns):
        raise Unreadable(
            f"it sent a row of {count} columns of {relation.schema}.{relation.name}, "
            f"which has {len(relation.columns)}"
        )
    return tuple(values), at
