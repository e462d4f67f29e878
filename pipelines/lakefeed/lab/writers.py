"""Random writes to the scratch database: short transactions, and some that stay open."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Protocol

import psycopg2
from psycopg2.extensions import connection as PgConnection

from lakefeed.lab.scratch import LabTable
from lakefeed.lab.upheavals import Upheavals
from lakefeed.sql import literal, quote

_ADDED = quote("lakefeed_lab_added")
_MOST_ROWS = 5
_STAYS_OPEN = 0.2
_UPHEAVAL = 0.03
_PAUSE_SECONDS = 0.05

# Without foreign keys and triggers, so that tables can be written in any order.
_SESSION = (
    "set session_replication_role = replica; set lock_timeout = '200ms'; "
    "set deadlock_timeout = '100ms'"
)


def statements_for(table: LabTable, rows: int) -> dict[str, str]:
    """The statements that a writer may run on some rows of a table, by name.

    Each of them moves the cursor, as the declaration promises; rows are deleted only if the
    declaration covers deletes, and not updated if it only appends them.
    """
    plan = table.plan
    found = {"insert": _insert(table, rows)}
    if plan.table.appends:
        return found
    if plan.cursor is None or plan.cursor.names.isdisjoint(plan.key):
        found["update"] = _update(table, rows)
    if plan.watches_deletes or plan.table.mode == "full_refresh":
        found["delete"] = f"delete from {table.quoted} where {_some_of(table, rows)}"
    return found


@dataclass
class Writers:
    """Random transactions from a seed. Some stay open until `end_transactions` is called."""

    url: str
    tables: Sequence[LabTable]
    choose: random.Random
    committed: int = 0
    committed_late: int = 0
    altered: int = 0
    _open: list[PgConnection] = field(default_factory=list)
    _with_column: set[str] = field(default_factory=set)
    _upheavals: Upheavals = field(init=False)

    def __post_init__(self) -> None:
        self._upheavals = Upheavals(self.url, self.choose)

    @property
    def upheavals(self) -> int:
        """How many upheavals happened (see upheavals.py)."""
        return self._upheavals.happened

    def write(self) -> None:
        """Runs a transaction of one to three statements, and rolls it back if one is refused."""
        if self.choose.random() < _UPHEAVAL:
            self._upheavals.happen(self.choose.choice(self.tables).whole)
        tables = self.choose.choices(self.tables, k=self.choose.randrange(1, 4))
        session = psycopg2.connect(self.url)
        try:
            with session.cursor() as cursor:
                cursor.execute(_SESSION)
                cursor.execute(f"select setseed({self.choose.random()})")
                for table in tables:
                    cursor.execute(self._statement(table))
        except psycopg2.Error:
            session.close()
            return
        if self.choose.random() < _STAYS_OPEN and not _any_numeric(tables):
            self._open.append(session)
            return
        session.commit()
        session.close()
        self.committed += 1

    def end_transactions(self) -> None:
        """Commits most of the open transactions, and rolls the others back."""
        for session in self._open:
            if self.choose.random() < 0.8:
                session.commit()
                self.committed += 1
                self.committed_late += 1
            session.close()
        self._open.clear()

    def end(self) -> None:
        """Ends open transactions and attaches detached partitions."""
        self.end_transactions()
        self._upheavals.end()

    def alter(self) -> None:
        """Adds a column to a table, or drops or replaces the one that was added before."""
        table = self.choose.choice(self.tables)
        # Rows that are appended without a column never get its default.
        if table.plan.table.settings.schema_changes == "freeze" or table.plan.table.appends:
            return
        self.end_transactions()
        drops = table.quoted in self._with_column
        adds = not drops or self.choose.random() < 0.5
        changes = [f"drop column {_ADDED}"] if drops else []
        changes += [f"add column {_ADDED} int default {self.choose.randrange(9)}"] if adds else []
        session = psycopg2.connect(self.url)
        with session, session.cursor() as cursor:
            for change in changes:
                cursor.execute(f"alter table {table.quoted} {change}")
        session.close()
        self._with_column = self._with_column - {table.quoted} | ({table.quoted} if adds else set())
        self.altered += 1

    def _statement(self, table: LabTable) -> str:
        statements = statements_for(table, self.choose.randrange(1, _MOST_ROWS + 1))
        return statements[self.choose.choice(list(statements))]


class Writes(Protocol):
    """Something that can write."""

    def write(self) -> None: ...


@contextmanager
def writing(writers: Iterable[Writes]) -> Iterator[None]:
    """Writes from another thread until the block ends."""
    stop = Event()

    def write() -> None:
        while not stop.wait(_PAUSE_SECONDS):
            for writer in writers:
                writer.write()

    thread = Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _any_numeric(tables: Iterable[LabTable]) -> bool:
    """Whether a table has a numeric cursor.

    Their rows must be committed in order, since only `lookback` covers rows that aren't.
    """
    return any(table.plan.cursor_kind == "number" for table in tables)


def _insert(table: LabTable, rows: int) -> str:
    """Inserts copied rows whose keys aren't in the table, with a current cursor."""
    plan, moved = table.plan, _moved_cursor(table)
    values = ", ".join(
        moved if plan.cursor and name in plan.cursor.names else f"copied.{quote(name)}"
        for name in table.written
    )
    columns = ", ".join(quote(name) for name in table.written)
    same_key = " and ".join(f"rows.{quote(name)} = copied.{quote(name)}" for name in plan.key)
    absent = f"not exists (select from {table.quoted} as rows where {same_key})"
    if not plan.key or (plan.cursor and not plan.cursor.names.isdisjoint(plan.key)):
        absent = "true"
    return (
        f"insert into {table.quoted} ({columns}) overriding system value select {values} from "
        f"(select * from {table.copied} as copied where {absent} order by random() limit {rows}) "
        "as copied on conflict do nothing"
    )


def _update(table: LabTable, rows: int) -> str:
    """Gives some rows values of other rows."""
    changes = [
        f"{quote(name)} = (select {quote(name)} from {table.copied} order by random() limit 1)"
        for name in table.changeable
    ]
    if table.plan.cursor:
        moved = _moved_cursor(table)
        changes += [f"{quote(column.name)} = {moved}" for column in table.plan.cursor.columns]
    if not changes:
        return _insert(table, rows)
    return f"update {table.quoted} set {', '.join(changes)} where {_some_of(table, rows)}"


def _some_of(table: LabTable, rows: int) -> str:
    return (
        f"(tableoid, ctid) in (select tableoid, ctid from {table.quoted} "
        f"order by random() limit {rows})"
    )


def _moved_cursor(table: LabTable) -> str:
    """The cursor of a row that is written now, which is the start of its transaction."""
    kind = table.plan.cursor_kind
    if kind == "number":
        return f"nextval('{table.counter}')"
    if kind == "timestamptz":
        return "now()"
    local = f"now() at time zone {literal(table.plan.cursor_zone)}"
    return f"({local})::date" if kind == "date" else local
