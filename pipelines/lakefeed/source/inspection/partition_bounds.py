"""Reads the bounds of partitions, and what PostgreSQL's text of a bound says."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import groupby
from typing import Any

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.partitioning import Bounds, Partition, Partitioning
from lakefeed.source.inspection.partitions import STANDS

# The partitioned tables, and all partitions below them with their bounds.
_TREES = f"""
with recursive trees (root, parent, oid) as (
    select listed, null::oid, listed from unnest(%(tables)s::oid[]) as listed
    union all
    select trees.root, i.inhparent, i.inhrelid
    from trees
    join pg_inherits as i on i.inhparent = trees.oid
    where {STANDS}
)
select
    trees.root::bigint, trees.parent::bigint, c.oid::bigint, c.relname,
    pg_get_expr(c.relpartbound, c.oid), c.relkind = 'p'
from trees
join pg_class as c on c.oid = trees.oid
where c.relkind = 'p' or trees.parent is not null
order by c.oid
"""

# A row for each column or expression of a partition key, in order.
_KEYS = """
select
    p.partrelid::bigint, p.partstrat::text, a.attname, o.opcname, o.opcdefault,
    format_type(o.opcintype, null), c.collname, c.collisdeterministic,
    case
        when c.collname is null then true
        when c.collname <> 'default' then c.collcollate in ('C', 'POSIX')
        else d.datcollate in ('C', 'POSIX')
            and coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') = 'c'
    end
from pg_partitioned_table as p
cross join lateral unnest(p.partattrs::int2[], p.partclass::oid[], p.partcollation::oid[])
    with ordinality as k (number, class, collated_by, position)
left join pg_attribute as a on a.attrelid = p.partrelid and a.attnum = k.number
left join pg_opclass as o on o.oid = k.class
left join pg_collation as c on c.oid = k.collated_by
join pg_database as d on d.datname = current_database()
where p.partrelid = any(%(tables)s::oid[])
order by p.partrelid, k.position
"""

# The types that operators of keys compare, of which the lake has the same values in the same order;
# and those of which it has the same values.
_ORDERED = {
    *("smallint", "integer", "bigint", "numeric", "text", "date", "uuid"),
    *("timestamp without time zone", "timestamp with time zone"),
}
_ALIKE = {*_ORDERED, "boolean", "character", "anyenum"}

_TOKEN = re.compile(r"'((?:[^']|'')*)'|([^\s,()']+)|(\()")


class Beyond(Enum):
    """What lies below or above all values of a column."""

    LOW = "MINVALUE"
    HIGH = "MAXVALUE"


@dataclass(frozen=True)
class Listed:
    """The bound of a list: its values as text, None for null."""

    values: tuple[str | None, ...]


@dataclass(frozen=True)
class Ranged:
    """The bound of a range, for each column of the key in turn: `low` inclusive, `high` exclusive.

    A row is compared with them as with a whole, column by column. No column of it is null.
    """

    low: tuple[str | Beyond, ...]
    high: tuple[str | Beyond, ...]


@dataclass(frozen=True)
class _Node:
    """A partitioned table, with neither parent nor bound; or a partition."""

    parent: int | None
    oid: int
    name: str
    bound: str
    is_partitioned: bool


@dataclass(frozen=True)
class _KeyColumn:
    """A row of `_KEYS`. The fields after `name`, None for an expression, are those of its operators
    and its collation."""

    strategy: str
    name: str | None
    operators: str
    has_usual_operators: bool
    compared_as: str
    collation: str | None
    is_deterministic: bool | None
    is_bytewise: bool | None

    @property
    def obstacle(self) -> str | None:
        """Why the lake can't tell by this column which partition a row belongs to."""
        name = self.name
        if self.strategy == "h":
            return "it is partitioned by hash"
        if name is None:
            return "it is partitioned by an expression"
        if self.compared_as not in (_ORDERED if self.strategy == "r" else _ALIKE):
            return f"`{name}`, which it is partitioned by, isn't of a type that the lake has"
        reasons = {
            f"`{self.operators}` compares `{name}`": not self.has_usual_operators,
            f"the collation of `{name}`, `{self.collation}`, isn't deterministic": (
                self.is_deterministic is False
            ),
            f"the ranges of `{name}` depend on its collation, `{self.collation}`": (
                self.strategy == "r" and self.is_bytewise is False
            ),
        }
        return next((reason for reason, applies in reasons.items() if applies), None)


@dataclass(frozen=True)
class _Key:
    """The partition key of a table or partition; `obstacle` as in `Partitioning`."""

    by: tuple[str, ...] = ()
    obstacle: str | None = None


def with_partitioning(
    session: PgConnection, tables: dict[str, CatalogueTable]
) -> dict[str, CatalogueTable]:
    """The tables, of which the partitioned ones have their `partitioning`, read in two queries."""
    # A partition may be partitioned as well.
    roots = [t.identity for t in tables.values() if t.kind in ("partitioned table", "partition")]
    if not roots:
        return tables
    trees: dict[int, list[_Node]] = defaultdict(list)
    with session.cursor() as cursor:
        cursor.execute(_TREES, {"tables": roots})
        for root, parent, oid, name, bound, is_partitioned in cursor.fetchall():
            trees[root].append(_Node(parent, oid, name, bound or "", is_partitioned=is_partitioned))
        partitioned = {n.oid for nodes in trees.values() for n in nodes if n.is_partitioned}
        cursor.execute(_KEYS, {"tables": sorted(partitioned)})
        keys = dict(_keys(cursor.fetchall()))
    return {
        name: replace(table, partitioning=_partitioning(table.identity or 0, trees, keys))
        for name, table in tables.items()
    }


def parsed_bound(bound: str) -> Listed | Ranged:
    """A bound as PostgreSQL writes it, unless it is `DEFAULT`.

    Raises:
        ValueError: it is the bound of neither a list nor a range.
    """
    groups: list[list[str | Beyond | None]] = []
    for quoted, word, opening in _TOKEN.findall(bound):
        if opening:
            groups.append([])
        elif groups and word != "TO":
            groups[-1].append(_value(word) if word else quoted.replace("''", "'"))
    if bound.startswith("FOR VALUES IN (") and len(groups) == 1:
        return Listed(tuple(v for v in groups[0] if not isinstance(v, Beyond)))
    if bound.startswith("FOR VALUES FROM (") and len(groups) == 2:
        low, high = (tuple(v for v in group if v is not None) for group in groups)
        return Ranged(low, high)
    raise ValueError(f"not the bound of a list or range: {bound}")


def _value(word: str) -> str | Beyond | None:
    if word == "NULL":
        return None
    return Beyond(word) if word in (Beyond.LOW.value, Beyond.HIGH.value) else word


def _keys(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[int, _Key]]:
    for oid, of_key in groupby(rows, key=lambda row: int(row[0])):
        columns = [_KeyColumn(*row[1:]) for row in of_key]
        obstacle = next((column.obstacle for column in columns if column.obstacle), None)
        yield oid, _Key(tuple(column.name for column in columns if column.name), obstacle)


def _partitioning(
    root: int, trees: Mapping[int, Sequence[_Node]], keys: Mapping[int, _Key]
) -> Partitioning | None:
    nodes = trees.get(root)
    if not nodes or root not in keys:
        return None
    below: dict[int, list[_Node]] = defaultdict(list)
    for node in nodes:
        if node.oid != root:
            below[node.parent or 0].append(node)
    branches = [keys[node.oid] for node in nodes if node.is_partitioned]
    obstacle = next((key.obstacle for key in branches if key.obstacle), None)
    if obstacle:
        return Partitioning(obstacle=obstacle)
    columns = dict.fromkeys(name for key in branches for name in key.by)
    return Partitioning(tuple(columns), tuple(_leaves(root, (), below, keys)))


def _leaves(
    oid: int, above: Partition, below: Mapping[int, Sequence[_Node]], keys: Mapping[int, _Key]
) -> Iterator[Partition]:
    """The partitions that hold rows, below a partitioned one."""
    siblings = below.get(oid, ())
    for node in siblings:
        others = tuple(sorted(s.bound for s in siblings if s.oid != node.oid))
        bounds = Bounds(
            name=node.name,
            by=keys[oid].by,
            bound=node.bound,
            besides=others if node.bound == "DEFAULT" else (),
        )
        if node.is_partitioned:
            yield from _leaves(node.oid, (*above, bounds), below, keys)
        else:
            yield (*above, bounds)
