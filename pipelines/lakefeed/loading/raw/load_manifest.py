"""The load manifest: what one load contains, written to the table's raw folder before the commit.

Its format (see documents.py) also covers the files beside it in the folder:

    1.0    manifests without a format version
    1.1    adds the format version and the identities of columns
    1.2    adds how columns were protected, the query of a table that is declared as one, and the
           bounds of partitions
    1.3    adds the range of a first load that is committed in ranges
    1.4    adds how far a standby had replayed the log at the snapshot
    1.5    adds the time zone of a cursor that has none
    1.6    adds the settings that apply from the next load on
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.documents import Format, parts_of
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.sessions.transactions import OpenTransactions
from lakefeed.wording import counted, data_size

FORMAT = "1.6"


@dataclass(frozen=True)
class KeyRange:
    """The range of the key that a load brought, of a first load that is committed in ranges.

    All ranges but the last note neither a checkpoint nor `in_flight` in their manifests, so that
    versions that don't know ranges read the table from the beginning.

    Attributes:
        first: the ID of the load with the first range.
        number: which range it is, from 1.
        of: how many ranges there were to be, as planned when it was read.
        size: the table's bytes at that time.
        upper: the largest key in it, as PostgreSQL's text; None for the last range, and once a key
            was erased.
        newest: the largest cursor of all ranges so far, but at most the safe horizon of the first.
        began: the transactions in flight at the snapshot of the first range.
    """

    first: str
    number: int
    of: int
    size: int
    upper: tuple[str, ...] | None
    newest: str | None
    began: OpenTransactions

    @property
    def is_last(self) -> bool:
        """Whether the first load is complete with it."""
        return self.number == self.of

    @property
    def shown(self) -> str:
        """How far the first load is, for messages: `3 of 12 ranges, 30.0 GB of 120.0 GB`."""
        so_far = self.size * self.number // self.of
        ranges = f"{self.number} of {counted(self.of, 'range')}"
        return f"{ranges}, {data_size(so_far)} of {data_size(self.size)}"


@dataclass(frozen=True)
class Load:
    """The content of one load. Times are ISO 8601 in UTC by the source's clock; cursors are text.

    `deleted` counts the rows that the load found deleted. `supersedes`: the load is the whole
    table, or begins to read it anew, so earlier loads no longer count. `read_as` and `in_flight`
    are None in loads by versions that didn't record them. `format` is the version that the manifest
    was written in. With `mode: append`, `null_cursors`, `cursor_min` and `cursor_max` are those of
    the rows written, otherwise those of the rows read. `range` is the part of a first load in
    ranges that it is; None for other loads.
    """

    load_id: str
    table: str
    supersedes: bool
    snapshot_at: str
    rows_read: int
    rows: int
    null_cursors: int
    cursor: str | None
    cursor_min: str | None
    cursor_max: str | None
    checkpoint_before: str | None
    checkpoint: str | None
    files: tuple[str, ...] = ()
    deleted: int = 0
    read_as: ReadContract | None = None
    in_flight: OpenTransactions | None = None
    format: str = FORMAT
    range: KeyRange | None = None

    @property
    def is_wholly_known(self) -> bool:
        """Whether this version knows all fields, so that none was ignored."""
        return parts_of(self.format) <= parts_of(FORMAT)

    @property
    def order(self) -> tuple[str, float]:
        """The sort key of loads: the source's snapshot, then the load id."""
        return (self.snapshot_at, float(self.load_id))

    @property
    def is_whole(self) -> bool:
        """Whether it has all rows of the table, so that others are gone."""
        return self.supersedes and self.range is None

    @property
    def is_backfill(self) -> bool:
        """Whether the load read only a range of the table."""
        return not self.supersedes and self.checkpoint is None and self.range is None

    @property
    def loaded_at(self) -> dt.datetime:
        """When the load began by the clock of the machine that ran it."""
        return dt.datetime.fromtimestamp(float(self.load_id), dt.UTC)


MANIFEST = Format(Load, "load manifest", FORMAT, indent=1)


def effective(loads: Sequence[Load]) -> Sequence[Load]:
    """The loads that count, of these in their order: the newest that supersedes, and later ones.

    None while their first load isn't complete. The macro `loads_that_count` follows the same rule
    for staging, which isn't shown such loads. (tests/integration/test_superseding.py)
    """
    return () if unfinished(loads) else loads[_start_of(loads) :]


def unfinished(loads: Sequence[Load]) -> Sequence[Load]:
    """The ranges so far of a first load that isn't complete, of these loads in their order."""
    counting = loads[_start_of(loads) :]
    return counting if counting and _stops_short(counting[-1]) else ()


def complete(loads: Sequence[Load]) -> list[Load]:
    """These loads in their order, without ranges of first loads that never came to their end.

    Such a load goes on, or was abandoned and another one superseded it.
    """
    shown: list[Load] = []
    since_whole: list[Load] = []
    for load in loads:
        if load.supersedes:
            shown += _unless_short(since_whole)
            since_whole = []
        since_whole.append(load)
    return shown + _unless_short(since_whole)


def superseded(loads: Sequence[Load]) -> Sequence[Load]:
    """The loads that no longer count, of these in their order."""
    return loads[: _start_of(loads)]


def checkpoint_after(loads: Sequence[Load]) -> str | None:
    """The checkpoint after these loads, in their order; a backfill leaves it alone."""
    return next((load.checkpoint for load in reversed(loads) if load.checkpoint), None)


def _unless_short(loads: list[Load]) -> list[Load]:
    return [] if loads and _stops_short(loads[-1]) else loads


def _stops_short(load: Load) -> bool:
    return load.range is not None and not load.range.is_last


def _start_of(loads: Sequence[Load]) -> int:
    """The position of the newest load that supersedes earlier ones; 0 without one."""
    return max((i for i, load in enumerate(loads) if load.supersedes), default=0)
