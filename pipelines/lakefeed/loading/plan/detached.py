"""Tells the rows of partitions that are no longer attached, by the bounds that were recorded.

A partition has left if an earlier load recorded its bounds, and no partition has them any more.
Rows within them are its rows, unless another partition takes them now: one that was split off,
merged or created in its place. A default partition takes back only what a default one left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.partitioning import Bounds, Partition
from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed
from lakefeed.source.inspection.partition_bounds import Beyond, Ranged, parsed_bound
from lakefeed.source.inspection.types import lake_type
from lakefeed.sql import literal, quote
from lakefeed.wording import counted, named

# What `Detached.since` gives for a row.
STANDS, LEFT_EARLIER, LEFT_NOW = 0, 1, 2

_PARTITIONED = ("partitioned table", "partition")


@dataclass(frozen=True)
class Detached:
    """The rows in raw of partitions that are no longer attached.

    Attributes:
        since: an expression for a row of raw: STANDS if it is none of them; LEFT_NOW if its
            partition was attached at the latest load, otherwise LEFT_EARLIER.
        names: the partitions that were attached at the latest load.
        policy: what is declared.
    """

    since: str
    names: tuple[str, ...]
    policy: Literal["keep", "remove"] | None

    @property
    def keeps(self) -> bool:
        return self.policy == "keep"

    @property
    def are_expected(self) -> bool:
        """Whether it is declared what becomes of these rows, so that they don't count as lost."""
        return self.policy is not None


def recorded_partitions(
    table: Table, live: CatalogueTable, columns: Sequence[Column]
) -> tuple[Partition, ...] | None:
    """The partitions to record with a load; None if it can't be told by bounds which rows are
    theirs.

    Args:
        columns: the columns that are loaded, as the source has them.
    """
    is_told = live.partitioning and not _obstacle(table, live, columns)
    return live.partitioning.partitions if live.partitioning and is_told else None


def check_on_detach(
    table: Table, live: CatalogueTable, key: Sequence[str], columns: Sequence[Column]
) -> None:
    """Refuses `on_detach` where the rows of a partition can't be told apart.

    Raises:
        TableFailed: names the line and the reason.
    """
    if table.settings.on_detach is None:
        return
    is_known = live.identity is not None or live.kind not in _PARTITIONED
    if live.partitioning is None:
        # In defaults and wildcards it is meant for the tables that are partitioned.
        if is_known and table.is_own("on_detach"):
            raise _refused(table, "it isn't partitioned")
        return
    if obstacle := _obstacle(table, live, columns):
        raise _refused(table, obstacle)
    if not key:
        raise _refused(table, "it has no primary key to tell its rows by")


def left_of(
    detached: Iterable[Partition],
    before: Iterable[Partition],
    now: Iterable[Partition],
    renamed: Mapping[str, str],
) -> tuple[tuple[Partition, ...], tuple[Partition, ...]]:
    """The partitions that had left before and are still gone; and those that have left since.

    Args:
        before: those attached at the latest load, which noted that the `detached` had left.
        renamed: the names of columns now, by those at the latest load.
    """
    standing = set(now)
    left_now = tuple(p for p in before if _with_names(p, renamed) not in standing)
    left_earlier = (p for p in detached if _with_names(p, renamed) not in standing)
    return tuple(p for p in left_earlier if p not in left_now), left_now


def detached_rows(
    table: Table,
    columns: Sequence[Column],
    *,
    left: Sequence[Partition],
    left_now: Sequence[Partition],
    attached: Sequence[Partition],
) -> Detached | None:
    """The rows of these partitions in raw; None if no partition has left.

    Args:
        left: all partitions whose rows raw may have.
        left_now: those of them that were attached at the latest load.

    Raises:
        TableFailed: they are to be kept, and can no longer be told from others.
    """
    types = {column.name: lake_type(column.type).duckdb for column in columns}
    by = {name for partition in left for bounds in partition for name in bounds.by}
    unknown = sorted(by - types.keys())
    if unknown and table.settings.on_detach == "keep":
        raise TableFailed(
            f"the rows of detached partitions of {table.shown} are told by `{unknown[0]}`, which "
            "is no longer loaded",
            where=table.where_of("on_detach"),
            do="load the column again, or let go of the rows: `on_detach: remove`",
        )
    if unknown or not left:
        return None
    earlier = [partition for partition in left if partition not in left_now]
    since = (
        f"case when {_in_none_of(left_now, attached, types)} then {LEFT_NOW} "
        f"when {_in_none_of(earlier, attached, types)} then {LEFT_EARLIER} else {STANDS} end"
    )
    return Detached(since, names_of_left(left_now, attached), table.settings.on_detach)


def note_of_detached(detached: Detached, deletes: str, rows: int | None = None) -> str:
    """What to tell the user about the rows of partitions that have left since the latest load.

    Args:
        deletes: as declared.
        rows: how many there are; None before they were looked for.
    """
    are = "is" if rows == 1 else "are"
    found = "rows" if rows is None else counted(rows, "row")
    become = {
        "keep": f"{are} kept (`on_detach: keep`)",
        "remove": f"{are} {'marked' if deletes == 'mark' else 'removed'} (`on_detach: remove`)",
        None: "count as deleted; to keep such rows, declare `on_detach: keep` beforehand",
    }
    return f"{found} {of_partitions(detached.names)}, {become[detached.policy]}"


def of_partitions(names: Sequence[str]) -> str:
    """What says whose rows are meant."""
    return f"of {named(names)}, detached or dropped since the last load"


def _obstacle(table: Table, live: CatalogueTable, columns: Sequence[Column]) -> str | None:
    """Why the rows of a partition can't be told by its bounds; None if they can."""
    assert live.partitioning is not None
    if live.partitioning.obstacle:
        return live.partitioning.obstacle
    loaded = {column.name: column for column in columns}
    for name in live.partitioning.columns:
        if name not in loaded:
            return f"it is partitioned by `{name}`, which isn't loaded"
        if how := table.settings_of(name).protection:
            return f"it is partitioned by `{name}`, and `{how}` hides its values"
        column_type = loaded[name].type
        if column_type.startswith("numeric") and lake_type(column_type).as_text:
            return f"it is partitioned by `{name}`, a {column_type}, which the lake stores as text"
    return None


def _refused(table: Table, why: str) -> TableFailed:
    unset = "" if table.is_own("on_detach") else " for this table (`on_detach: null`)"
    return TableFailed(
        f"`on_detach` doesn't apply to {table.shown}: {why}",
        where=table.where_of("on_detach"),
        do=f"unset it{unset}; rows of a detached partition then count as deleted",
    )


def _with_names(partition: Partition, renamed: Mapping[str, str]) -> Partition:
    return tuple(
        replace(bounds, by=tuple(renamed.get(name, name) for name in bounds.by))
        for bounds in partition
    )


def _in_none_of(
    left: Sequence[Partition], attached: Sequence[Partition], types: Mapping[str, str]
) -> str:
    """The condition for rows of partitions that have left, which no other partition takes."""
    conditions = []
    for defaults, alike in groupby(sorted(left, key=_defaults), key=_defaults):
        others = [p for p in attached if set(_defaults(p)) <= set(defaults)]
        conditions.append(
            f"case when {_any_of(alike, types)} then not {_any_of(others, types)} else false end"
        )
    return f"({' or '.join(conditions) or 'false'})"


def _defaults(partition: Partition) -> tuple[int, ...]:
    """The levels at which it is, or is part of, a default partition."""
    return tuple(level for level, bounds in enumerate(partition) if bounds.is_default)


def _any_of(partitions: Iterable[Partition], types: Mapping[str, str]) -> str:
    within = (" and ".join(_within(bounds, types) for bounds in p) for p in partitions)
    return f"({' or '.join(f'({one})' for one in within) or 'false'})"


def _within(bounds: Bounds, types: Mapping[str, str]) -> str:
    """The condition that a row lies within these bounds; never null."""
    if not bounds.is_default:
        return _meets(bounds.by, bounds.bound, types)
    others = " or ".join(_meets(bounds.by, bound, types) for bound in bounds.besides)
    return f"not ({others or 'false'})"


def _meets(by: Sequence[str], text: str, types: Mapping[str, str]) -> str:
    bound = parsed_bound(text)
    if isinstance(bound, Ranged):
        no_nulls = " and ".join(f"{quote(name)} is not null" for name in by)
        low = _beyond(by, bound.low, types, sign=">", at_the_end=True)
        high = _beyond(by, bound.high, types, sign="<", at_the_end=False)
        return f"({no_nulls} and {low} and {high})"
    name, kind = quote(by[0]), types[by[0]]
    values = [_value(value, kind) for value in bound.values if value is not None]
    conditions = [f"coalesce({name} in ({', '.join(values)}), false)"] if values else []
    conditions += [f"{name} is null"] if None in bound.values else []
    return f"({' or '.join(conditions)})"


def _beyond(
    by: Sequence[str],
    edge: Sequence[str | Beyond],
    types: Mapping[str, str],
    *,
    sign: Literal["<", ">"],
    at_the_end: bool,
) -> str:
    """The condition that a row lies on this side of an edge; `at_the_end` for rows at it."""
    if not by:
        return "true" if at_the_end else "false"
    value, column = edge[0], quote(by[0])
    if isinstance(value, Beyond):
        is_on_this_side = (value is Beyond.LOW) == (sign == ">")
        return "true" if is_on_this_side else "false"
    limit = _value(value, types[by[0]])
    rest = _beyond(by[1:], edge[1:], types, sign=sign, at_the_end=at_the_end)
    return f"({column} {sign} {limit} or ({column} = {limit} and {rest}))"


def _value(text: str, kind: str) -> str:
    return f"{literal(text)}::{kind}"


def names_of_left(left: Iterable[Partition], attached: Iterable[Partition]) -> tuple[str, ...]:
    """The names of what has left: a partition that is itself partitioned rather than its parts."""
    standing = {partition[:level] for partition in attached for level in range(len(partition) + 1)}
    names = (
        next(p[level].name for level in range(len(p)) if p[: level + 1] not in standing)
        for p in left
    )
    return tuple(dict.fromkeys(names))
