"""Reads the log of a test's database, as Lakefeed does."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Any

from lakefeed.source.connections.connection import Connection, connection_from_url
from lakefeed.source.log.messages import Begin, Commit
from lakefeed.source.log.rows import Change
from lakefeed.source.log.slots import advance, create_slot_sql, drop_slot_sql, flushed
from lakefeed.source.log.stream import Changes, Item, changes_of
from lakefeed.source.replication.publications import create_publication_sql
from tests.conftest import Database


class Log:
    """The log of a database, read through a publication and a slot."""

    def __init__(self, database: Database) -> None:
        self.database = database
        # Slots are the server's, whichever database they are of.
        self.slot = f"slot_{database.name}"
        self.publication = "published"

    @property
    def connection(self) -> Connection:
        return connection_from_url("shop", self.database.url)

    def publish(self, *tables: str) -> Log:
        """Publishes tables, and creates the slot."""
        names = [("public", table) for table in tables]
        self.database.execute(create_publication_sql(self.publication, names))
        return self.create_slot()

    def create_slot(self) -> Log:
        self.database.execute(create_slot_sql(self.slot))
        return self

    def drop_slot(self) -> None:
        self.database.execute(drop_slot_sql(self.slot))

    def end(self) -> int:
        """The position up to which the log is written."""
        with closing(self.database.connect()) as session:
            return flushed(session)

    def oids(self, *tables: str) -> list[int]:
        return [
            self.database.rows(f"select '{table}'::regclass::oid::bigint")[0][0] for table in tables
        ]

    def open(self, *tables: str, upto: int | None = None, **options: Any) -> Changes:
        options = {"slot": self.slot, "publication": self.publication, **options}
        wanted = self.oids(*tables)
        end = self.end() if upto is None else upto
        return changes_of(self.connection, wanted=wanted, upto=end, **options)

    def items(self, *tables: str, **options: Any) -> list[Item]:
        """All items up to now."""
        with self.open(*tables, **options) as changes:
            return list(changes)

    def read(self, *tables: str, **options: Any) -> list[tuple[Any, ...]]:
        """The changes as table, operation, new and old values."""
        return shown(self.items(*tables, **options))

    def advance(self, position: int) -> int:
        with closing(self.database.connect()) as session:
            return advance(session, self.slot, position)


def shown(items: Iterable[Item]) -> list[tuple[Any, ...]]:
    """The changes among items as table, operation, new and old values."""
    return [
        (item.relation.name, item.operation, item.new, item.old)
        for item in items
        if isinstance(item, Change)
    ]


def transactions(items: Iterable[Item]) -> list[int]:
    """How many changes each transaction has; that it begins and ends is made sure of."""
    counts: list[int] = []
    is_open = False
    for item in items:
        if isinstance(item, Begin):
            assert not is_open
            is_open, counts = True, [*counts, 0]
        elif isinstance(item, Commit):
            assert is_open
            is_open = False
        else:
            assert is_open
            counts[-1] += 1
    assert not is_open
    return counts
