"""The load manifest: what one load contains, written to the table's raw folder before the commit.

Its format (see documents.py) also covers the files beside it in the folder:

    1.0    manifests without a format version
    1.1    adds the format version and the identities of columns
    1.2    adds how columns were protected, the query of a table that is declared as one, and the
           bounds of partitions
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from lakefeed.documents import Format, parts_of
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.sessions.transactions import OpenTransactions

FORMAT = "1.2"


@dataclass(frozen=True)
class Load:
    """The content of one load. Times are ISO 8601 in UTC by the source's clock; cursors are text.

    `deleted` counts the rows that the load found deleted. `supersedes`: the load is the whole
    table, so earlier loads no longer count. `read_as` and `in_flight` are None in loads by versions
    that didn't record them. `format` is the version that the manifest was written in.
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

    @property
    def is_wholly_known(self) -> bool:
        """Whether this version knows all fields, so that none was ignored."""
        return parts_of(self.format) <= parts_of(FORMAT)

    @property
    def order(self) -> tuple[str, float]:
        """The sort key of loads: the source's snapshot, then the load id."""
        return (self.snapshot_at, float(self.load_id))

    @property
    def is_backfill(self) -> bool:
        """Whether the load read only a range of the table."""
        return not self.supersedes and self.checkpoint is None

    @property
    def loaded_at(self) -> dt.datetime:
        """When the load began by the clock of the machine that ran it."""
        return dt.datetime.fromtimestamp(float(self.load_id), dt.UTC)


MANIFEST = Format(Load, "load manifest", FORMAT, indent=1)


def effective(loads: Sequence[Load]) -> Sequence[Load]:
    """The loads that count, of these in their order: the newest that supersedes, and later ones.

    The macro `loads_that_count` follows the same rule for staging.
    (tests/integration/test_superseding.py)
    """
    return loads[_start_of(loads) :]


def superseded(loads: Sequence[Load]) -> Sequence[Load]:
    """The loads that no longer count, of these in their order."""
    return loads[: _start_of(loads)]


def checkpoint_after(loads: Sequence[Load]) -> str | None:
    """The checkpoint after these loads, in their order; a backfill leaves it alone."""
    return next((load.checkpoint for load in reversed(loads) if load.checkpoint), None)


def _start_of(loads: Sequence[Load]) -> int:
    """The position of the newest load that supersedes earlier ones; 0 without one."""
    return max((i for i, load in enumerate(loads) if load.supersedes), default=0)
