"""What seldom happens to whole tables: they are emptied, rewritten, exchanged, taken apart.

None of it moves a cursor, and snapshots don't keep all of it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import cursor as PgCursor

from lakefeed.sql import quote, quote_qualified

# Whoever waits longer for a run that reads the table lets it be.
_SESSION = "set session_replication_role = replica; set lock_timeout = '200ms'"
_NEXT, _GONE, _SPARE = "lakefeed_lab_next", "lakefeed_lab_gone", "lakefeed_lab_spare"

_PARTS = """
select n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid), i.inhparent::regclass::text,
    coalesce(pg_get_partition_constraintdef(c.oid), 'true')
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
left join pg_inherits as i on i.inhrelid = c.oid
where c.relkind = 'r' and (
    c.oid = %(table)s::regclass or c.oid in (select relid from pg_partition_tree(%(table)s))
)
order by 1, 2
"""
_TRIGGERS = """
select pg_get_triggerdef(oid) from pg_trigger where tgrelid = %s::regclass and not tgisinternal
"""
_INDEX = """
select c.relname
from pg_index as i
join pg_class as c on c.oid = i.indexrelid
where i.indrelid = %s::regclass and i.indisprimary
"""


@dataclass(frozen=True)
class Whole:
    """A table as a whole, and what may be done to it.

    `may_lose`: rows that leave it are looked for. `may_part`: also for a while, with a partition.
    `alike` are pairs of columns that may swap their names.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    may_lose: bool
    may_part: bool
    may_change: bool
    alike: tuple[tuple[str, str], ...] = ()

    @property
    def quoted(self) -> str:
        return quote_qualified(self.schema, self.name)


@dataclass(frozen=True)
class _Part:
    """A table that holds rows, and where it belongs; `bound` is None where that is nowhere."""

    schema: str
    name: str
    bound: str | None
    parent: str | None
    constraint: str

    @property
    def quoted(self) -> str:
        return quote_qualified(self.schema, self.name)


class _Impossible(Exception):
    """This can't happen to this table."""


@dataclass
class Upheavals:
    """Random upheavals from a seed; each is one transaction."""

    url: str
    choose: random.Random
    happened: int = 0
    _away: dict[Whole, _Part] = field(default_factory=dict)

    def happen(self, table: Whole) -> None:
        """One of them. What the database refuses, or isn't possible, is rolled back."""
        kinds = [self._rewrite]
        if table.may_change:
            kinds += [self._exchange, self._swap_columns]
        if table.may_lose:
            kinds.append(self._empty)
        if table.may_part:
            kinds.append(self._detach)
        self._try(table, self._attach if table in self._away else self.choose.choice(kinds))

    def end(self) -> None:
        """Puts partitions back that are away."""
        for table in list(self._away):
            self._try(table, self._attach)

    def _try(self, table: Whole, upheaval: Callable[[PgCursor, Whole], None]) -> None:
        with closing(psycopg2.connect(self.url)) as session:
            try:
                with session, session.cursor() as cursor:
                    cursor.execute(_SESSION)
                    upheaval(cursor, table)
            except (psycopg2.Error, _Impossible):
                return
            self.happened += 1

    def _empty(self, cursor: PgCursor, table: Whole) -> None:
        names = [table.quoted, *(part.quoted for part in _parts(cursor, table))]
        cursor.execute(f"truncate {self.choose.choice(names)}")

    def _rewrite(self, cursor: PgCursor, table: Whole) -> None:
        """With new versions of all rows, or with those that there are."""
        part = self._some_part(cursor, table)
        if self.choose.random() < 0.5:
            cursor.execute(f"alter table {part.quoted} set unlogged")
            cursor.execute(f"alter table {part.quoted} set logged")
            return
        cursor.execute(_INDEX, [part.quoted])
        if not (index := cursor.fetchone()):
            raise _Impossible
        cursor.execute(f"cluster {part.quoted} using {quote(index[0])}")

    def _exchange(self, cursor: PgCursor, table: Whole) -> None:
        """A copy takes the place of the table, or of a partition."""
        part = self._some_part(cursor, table)
        columns = ", ".join(map(quote, table.columns))
        following, gone = quote_qualified(part.schema, _NEXT), quote_qualified(part.schema, _GONE)
        cursor.execute(_TRIGGERS, [part.quoted])
        triggers = [definition for (definition,) in cursor.fetchall()]
        but = " excluding identity" if part.bound else ""
        cursor.execute(f"create table {following} (like {part.quoted} including all{but})")
        if part.bound:
            cursor.execute(f"alter table {part.parent} detach partition {part.quoted}")
            triggers = []
        cursor.execute(
            f"insert into {following} ({columns}) overriding system value "
            f"select {columns} from {part.quoted}"
        )
        cursor.execute(f"alter table {part.quoted} rename to {_GONE}")
        cursor.execute(f"alter table {following} rename to {quote(part.name)}")
        cursor.execute(f"drop table {gone} cascade")
        for definition in triggers:
            cursor.execute(definition)
        if part.bound:
            cursor.execute(f"alter table {part.parent} attach partition {part.quoted} {part.bound}")

    def _swap_columns(self, cursor: PgCursor, table: Whole) -> None:
        if not table.alike:
            raise _Impossible
        one, other = map(quote, self.choose.choice(table.alike))
        for before, after in ((one, _SPARE), (other, one), (_SPARE, other)):
            cursor.execute(f"alter table {table.quoted} rename column {before} to {after}")

    def _detach(self, cursor: PgCursor, table: Whole) -> None:
        part = self._some_part(cursor, table)
        if not part.bound:
            raise _Impossible
        cursor.execute(f"alter table {part.parent} detach partition {part.quoted}")
        self._away[table] = part

    def _attach(self, cursor: PgCursor, table: Whole) -> None:
        """What came to a default partition meanwhile gives way."""
        part = self._away[table]
        cursor.execute(f"delete from {part.parent} where {part.constraint}")
        cursor.execute(f"alter table {part.parent} attach partition {part.quoted} {part.bound}")
        del self._away[table]

    def _some_part(self, cursor: PgCursor, table: Whole) -> _Part:
        parts = _parts(cursor, table)
        if not parts:
            raise _Impossible
        return self.choose.choice(parts)


def _parts(cursor: PgCursor, table: Whole) -> list[_Part]:
    cursor.execute(_PARTS, {"table": table.quoted})
    return [_Part(*row) for row in cursor.fetchall()]
