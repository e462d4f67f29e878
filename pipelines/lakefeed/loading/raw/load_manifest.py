"""What one load holds, as it is described in a table's raw folder before it is committed.

Its format (see documents.py) is that of what lies beside it in the folder as well:

    1.0    before descriptions had a format
    1.1    has one; notes what columns are, not only their names and types
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from lakefeed.documents import Format, parts_of
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.sessions.transactions import OpenTransactions

FORMAT = "1.1"


@dataclass(frozen=True)
class Load:
    """What one load holds. Times are ISO 8601 in UTC by the source's clock; cursors are text.

    `deleted` counts the rows that were found to have left the source. `supersedes` is true where
    the load is the whole table, so that earlier loads no longer count. `read_as` and
    `in_flight` are None in loads of versions that didn't note them. `format` is the one that it
    was read in.
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
        """Whether nothing was ignored that a newer version has noted."""
        return parts_of(self.format) <= parts_of(FORMAT)

    @property
    def order(self) -> tuple[str, float]:
        """Loads are ordered by the source's snapshot, then by load id."""
        return (self.snapshot_at, float(self.load_id))

    @property
    def is_backfill(self) -> bool:
        """Whether it read a range alone, so that it doesn't tell of the table as a whole."""
        return not self.supersedes and self.checkpoint is None

    @property
    def loaded_at(self) -> dt.datetime:
        """When the load began by the clock of the machine that ran it."""
        return dt.datetime.fromtimestamp(float(self.load_id), dt.UTC)


MANIFEST = Format(Load, "load manifest", FORMAT, indent=1)
