"""The tables whose changes are wanted, as the log describes them."""

from __future__ import annotations

from lakefeed.source.log.messages import Relation, Unreadable


class Tables:
    """What the server said last of each wanted table.

    Attributes:
        wanted: the tables' oids.
        known: by oid.
    """

    def __init__(self, wanted: frozenset[int]) -> None:
        self.wanted = wanted
        self.known: dict[int, Relation] = {}
        self._said: dict[int, int] = {}
        self._count = 0
        self._one_of: dict[Relation, Relation] = {}

    def said(self, relation: Relation) -> tuple[int, Relation]:
        """The same description, one object for all that are equal, and how late it was said."""
        self._count += 1
        return self._count, self._one_of.setdefault(relation, relation)

    def learn(self, number: int, relation: Relation) -> None:
        """Keeps this description, unless the table has a later one."""
        if number > self._said.get(relation.oid, 0):
            self._said[relation.oid] = number
            self.known[relation.oid] = relation

    def of(self, oid: int) -> Relation | None:
        """The table; None if it isn't wanted.

        Raises:
            Unreadable: the server hasn't described it.
        """
        relation = self.known.get(oid)
        if relation is None and oid in self.wanted:
            raise undescribed(oid)
        return relation


def undescribed(oid: int) -> Unreadable:
    """The error for a change of a table that the server hasn't described."""
    return Unreadable(f"a change came before the description of its table (oid {oid})")
