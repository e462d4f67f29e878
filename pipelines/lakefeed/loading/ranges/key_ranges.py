"""Splits a table's first load into ranges of its key, each committed as a load of its own.

A range is read by its key, not by its place, since a row keeps its key: whatever is written to the
table between two ranges, each row is in exactly one of them. What changes in ranges that are read
already is found by the cursor (docs/design/first-loads.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from lakefeed.loading.plan.queries import relation_of, size_query
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.ranges.ctid_ranges import TableSize, cut, statements_for
from lakefeed.loading.ranges.first_loads import count_of_ranges
from lakefeed.loading.raw.load_manifest import KeyRange, Load
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.transactions import OpenTransactions
from lakefeed.sql import literal, quote

# The values of a key as PostgreSQL's text.
Key = tuple[str, ...]

# Enough for even ranges, and read within a second.
_SAMPLED_PAGES = 5_000
_PAGE = 8192
_MOST_KEYS = 5_000
# Below this, rows of one range of keys lie all over the table, so that each statement would read
# nearly all of its pages. They are read in ranges of pages instead.
_IN_ORDER = 0.5


@dataclass(frozen=True)
class RangeToRead:
    """One range of a table's key.

    Attributes:
        conditions: in the source's SQL, one for each statement; together they select the range.
        upper: the largest key in it; None for the last range.
        size: about how many bytes it has.
    """

    conditions: tuple[str, ...]
    upper: Key | None
    size: int


@dataclass(frozen=True)
class RangeOfLoad:
    """A range of a first load, and what its manifest is to note about it.

    Attributes:
        number: which range it is, from 1; `of`: how many there are to be.
        table_size: the table's bytes.
        before: the load with the range before it; None for the first one.
        began: the transactions in flight at the snapshot of the first range.
    """

    to_read: RangeToRead
    number: int
    of: int
    table_size: int
    before: Load | None
    began: OpenTransactions

    @property
    def is_last(self) -> bool:
        return self.number == self.of

    @property
    def shown(self) -> str:
        return f"range {self.number} of {self.of}"

    def noted(self, load_id: str, newest: str | None) -> KeyRange:
        """What the manifest of the load with this ID notes.

        Args:
            newest: the largest cursor of all ranges so far.
        """
        before = self.before.range if self.before else None
        return KeyRange(
            first=before.first if before else load_id,
            number=self.number,
            of=self.of,
            size=self.table_size,
            upper=self.to_read.upper,
            newest=newest,
            began=self.began,
        )


@dataclass(frozen=True)
class _Sample:
    """Keys of some of the rows that are left, in their order.

    `share` is how many of all rows they stand for; `is_in_order`: whether rows are stored about in
    the order of their keys.
    """

    keys: tuple[Key, ...]
    share: float
    is_in_order: bool


def table_size(session: SourceSession, plan: TablePlan) -> TableSize:
    """The table's size on the source, at this moment."""
    return TableSize(*session.fetch(size_query(plan))[0])


def ranges_above(
    session: SourceSession, plan: TablePlan, table: TableSize, above: Key | None
) -> list[RangeToRead]:
    """The ranges of all keys above this one, in their order; the last one has no upper bound.

    Reads a sample of the table's pages. Each range has about `resume_above` bytes, and as many
    statements as a table of that size.
    """
    sample = _sampled(session, plan, table, above)
    left = int(table.size * sample.share)
    places = _places(0, len(sample.keys), count_of_ranges(plan, left))
    size = left // (len(places) - 1)
    split = _Split(plan, table, sample, above)
    return [
        RangeToRead(split.statements(start, end, size), split.upper(end), size)
        for start, end in pairwise(places)
    ]


@dataclass(frozen=True)
class _Split:
    """How ranges of the sample's keys are read. Places are those in the sample, from 0."""

    plan: TablePlan
    table: TableSize
    sample: _Sample
    above: Key | None

    def upper(self, place: int) -> Key | None:
        """The largest key of a range that ends before this place; None for the last one."""
        return None if place == len(self.sample.keys) else self.sample.keys[place - 1]

    def statements(self, start: int, end: int, size: int) -> tuple[str, ...]:
        """Conditions that split a range, for several sessions and short statements."""
        sessions = SourceAtSnapshot.sessions_for(self.plan)
        longest = self.plan.table.settings.max_query_time
        if self.sample.is_in_order:
            places = _places(start, end, statements_for(size, sessions, longest))
            return tuple(self._between(*pair) for pair in pairwise(places))
        # Each statement scans all of its pages for the rows of the range.
        scanned = size if longest is None else self.table.size
        pages = cut(TableSize(scanned, self.table.pages), sessions, longest)
        return tuple(f"{self._between(start, end)} and {part}" for part in pages)

    def _between(self, start: int, end: int) -> str:
        low = self.sample.keys[start - 1] if start else self.above
        return between(self.plan, low, self.upper(end))


def _places(start: int, end: int, count: int) -> list[int]:
    """The bounds of so many ranges of about the same length; of fewer, if there aren't as many."""
    inner = {start + (end - start) * part // count for part in range(1, count)}
    return [start, *sorted(inner - {start, end}), end]


def between(plan: TablePlan, low: Key | None, high: Key | None) -> str:
    """The condition for keys above `low`, up to `high`."""
    key = _row([quote(name) for name in plan.range_key])
    bounds = [f"{key} > {_values(low)}"] if low is not None else []
    bounds += [f"{key} <= {_values(high)}"] if high is not None else []
    return " and ".join(bounds) or "true"


def _values(key: Key) -> str:
    """A key as literals without a type, which take those of the columns they are compared with."""
    return _row([literal(value) for value in key])


def _row(expressions: Sequence[str]) -> str:
    listed = ", ".join(expressions)
    return f"({listed})" if len(expressions) > 1 else listed


def _sampled(
    session: SourceSession, plan: TablePlan, table: TableSize, above: Key | None
) -> _Sample:
    rows = session.fetch(_sample_query(plan, table, above))
    if not rows:
        return _Sample((), 1.0 if above is None else 0.0, is_in_order=True)
    _, of, left, order, *_ = rows[0]
    keys = tuple(tuple(row[4:]) for row in rows)
    return _Sample(keys, left / of, is_in_order=order >= _IN_ORDER)


def _sample_query(plan: TablePlan, table: TableSize, above: Key | None) -> str:
    """A query for keys above this one of a sample of rows, evenly spaced in their order.

    Each with its number, the numbers of all rows in the sample and of those above, and how well
    the places of rows follow the order of keys: 1 if wholly, or in reverse, 0 if not at all.
    """
    percent = min(100.0, 100.0 * _SAMPLED_PAGES * _PAGE / max(table.size, 1))
    names = [quote(name) for name in plan.range_key]
    keys, aliases = ", ".join(names), [f"_lakefeed_key_{number}" for number in range(len(names))]
    texts = ", ".join(f"{name}::text as {as_}" for name, as_ in zip(names, aliases, strict=True))
    return f"""
        with sampled as (
            select {keys}, ({between(plan, above, None)}) as _lakefeed_left,
                tableoid as _lakefeed_part, row_number() over (order by ctid) as _lakefeed_place
            from {relation_of(plan)} tablesample system ({percent:.6f})
        ),
        ordered as (
            select {texts}, _lakefeed_part, _lakefeed_place,
                row_number() over (order by {keys}) as _lakefeed_number
            from sampled
            where _lakefeed_left
        ),
        parts as (
            select count(*) as left_in_part,
                abs(coalesce(corr(_lakefeed_place, _lakefeed_number), 1)) as order_kept
            from ordered
            group by _lakefeed_part
        ),
        total as (
            select sum(left_in_part)::bigint as left_in_all,
                sum(left_in_part * order_kept) / sum(left_in_part) as order_kept
            from parts
        )
        select _lakefeed_number, (select count(*) from sampled), left_in_all, order_kept,
            {", ".join(aliases)}
        from ordered
        cross join total
        where _lakefeed_number % greatest(1, left_in_all / {_MOST_KEYS}) = 0
        order by _lakefeed_number
    """
