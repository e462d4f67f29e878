"""Rare changes to whole tables: truncate, rewrite, replace, rename columns, detach a partition.

None of them moves a cursor, and some aren't MVCC-safe, so that older snapshots see them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import cursor as PgCursor

from lakefeed.sql import quote, quote_qualified

# An upheaval that would wait longer for a run that reads the table is skipped.
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
    """A table, and the upheavals that may happen to it.

    Attributes:
        may_lose: it may be truncated, since its load finds deleted rows.
        may_part: a partition may be detached for a while.
        may_change: it may be replaced, and its columns may be renamed.
        alike: pairs of columns that may swap their names.
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
    """A table that stores rows; if it is a partition, with its bound and its parent."""

    schema: str
    name: str
    bound: str | None
    parent: str | None
    constraint: str

    @property
    def quoted(self) -> str:
        return quote_qualified(self.schema, self.name)


class _Impossible(Exception):
    """This upheaval is impossible for this table."""


@dataclass
class Upheavals:
    """Random upheavals from a seed, each in its own transaction."""

    url: str
    choose: random.Random
    happened: int = 0
    _detached: dict[Whole, _Part] = field(default_factory=dict)

    def happen(self, table: Whole) -> None:
        """Tries a random upheaval, and rolls it back if it is impossible or refused."""
        kinds = [self._rewrite]
        if table.may_change:
            kinds += [self._replace, self._swap_columns]
        if table.may_lose:
            kinds.append(self._truncate)
        if table.may_part:
            kinds.append(self._detach)
        self._try(table, self._attach if table in self._detached else self.choose.choice(kinds))

    def end(self) -> None:
        """Attaches all detached partitions."""
        for table in list(self._detached):
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

    def _truncate(self, cursor: PgCursor, table: Whole) -> None:
        names = [table.quoted, *(part.quoted for part in _parts(cursor, table))]
        cursor.execute(f"truncate {self.choose.choice(names)}")

    def _rewrite(self, cursor: PgCursor, table: Whole) -> None:
        """Rewrites a part by `set unlogged`, which changes all row versions, or by `cluster`."""
        part = self._some_part(cursor, table)
        if self.choose.random() < 0.5:
            cursor.execute(f"alter table {part.quoted} set unlogged")
            cursor.execute(f"alter table {part.quoted} set logged")
            return
        cursor.execute(_INDEX, [part.quoted])
        if not (index := cursor.fetchone()):
            raise _Impossible
        cursor.execute(f"cluster {part.quoted} using {quote(index[0])}")

    def _replace(self, cursor: PgCursor, table: Whole) -> None:
        """Replaces the table, or a partition, by a copy."""
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
        first, second = map(quote, self.choose.choice(table.alike))
        for before, after in ((first, _SPARE), (second, first), (_SPARE, second)):
            cursor.execute(f"alter table {table.quoted} rename column {before} to {after}")

    def _detach(self, cursor: PgCursor, table: Whole) -> None:
        part = self._some_part(cursor, table)
        if not part.bound:
            raise _Impossible
        cursor.execute(f"alter table {part.parent} detach partition {part.quoted}")
        self._detached[table] = part

    def _attach(self, cursor: PgCursor, table: Whole) -> None:
        """Attaches the partition again, after deleting its rows from the default partition."""
        part = self._detached[table]
        cursor.execute(f"delete from {part.parent} where {part.constraint}")
        cursor.execute(f"alter table {part.parent} attach partition {part.quoted} {part.bound}")
        del self._detached[table]

    def _some_part(self, cursor: PgCursor, table: Whole) -> _Part:
        parts = _parts(cursor, table)
        if not parts:
            raise _Impossible
        return self.choose.choice(parts)


def _parts(cursor: PgCursor, table: Whole) -> list[_Part]:
    cursor.execute(_PARTS, {"table": table.quoted})
    return [_Part(*row) for row in cursor.fetchall()]
