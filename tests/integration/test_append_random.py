"""Whatever is inserted, altered and loaded in whichever order: each row is kept once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import NIGHTLY, Database, Lake, only
from tests.integration.test_append import EVENTS, in_source, kept, staged

TABLE = "create table events (who text, amount int, at timestamptz)"
WIDENING = ("bigint", "numeric", "text")
COMPARED = 'who, amount::text, "at"'
STEPS = 25


class Upheaval:
    """Random inserts, many of equal rows, late commits and changes of columns, from a seed."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database = database
        self.choose = random.Random(seed)
        self.widening = iter(WIDENING)
        self.late: list[Any] = []
        self.has_note = False

    def happen(self) -> None:
        kinds = [self.insert] * 6 + [self.insert_late, self.commit, self.note, self.widen]
        self.choose.choice(kinds)()

    def insert(self) -> None:
        self.database.execute(self._rows())

    def insert_late(self) -> None:
        session = self.database.connect()
        with session.cursor() as cursor:
            cursor.execute(self._rows())
        self.late.append(session)

    def commit(self) -> None:
        for session in self.late:
            session.commit() if self.choose.random() < 0.8 else session.rollback()
            session.close()
        self.late.clear()

    def note(self) -> None:
        self.commit()
        change = "drop note" if self.has_note else "add note int"
        self.database.execute(f"alter table events {change}")
        self.has_note = not self.has_note

    def widen(self) -> None:
        self.commit()
        if kind := next(self.widening, None):
            self.database.execute(f"alter table events alter amount type {kind}")

    def _rows(self) -> str:
        """Rows within the lookback, of few values, and some without a cursor."""
        minutes = self.choose.choice([0, 0, 10, 40, None])
        before = f"date_trunc('minute', now()) - {minutes} * interval '1 minute'"
        at = "null" if minutes is None else before
        note = f", {self.choose.choice(['null', '1', '2'])}" if self.has_note else ""
        row = f"('{self.choose.choice('ab')}', {self.choose.randrange(2)}, {at}{note})"
        return "insert into events values " + ", ".join([row] * self.choose.randrange(1, 4))


@contextmanager
def upheaval(database: Database, seed: int) -> Iterator[Upheaval]:
    found = Upheaval(database, seed)
    yield found
    found.commit()


@pytest.mark.on_store(at_night=True)
@pytest.mark.on_ducklake(at_night=True)
@pytest.mark.parametrize("seed", range(8 if NIGHTLY else 1))
def test_staging_has_the_rows_of_the_source_as_often_as_the_source(
    database: Database, lake: Lake, seed: int
) -> None:
    database.execute(TABLE)
    lake.declare(EVENTS)
    with upheaval(database, seed) as source:
        for _ in range(STEPS):
            source.happen()
            if source.choose.random() < 0.4:
                assert only(lake.load()).error is None
                if source.choose.random() < 0.2:
                    assert only(lake.load(since="2020-01-01")).rows_written == 0

    assert lake.run().exit_code == 0
    assert kept(lake, COMPARED) == in_source(database, COMPARED)
    assert staged(lake, COMPARED) == in_source(database, COMPARED)
