"""What one load holds, as it is described in a table's raw folder before it is committed.

`"format": "1.1"` says how a description, and what lies beside it in the folder, is to be read. A
new minor version adds fields, which earlier readers ignore, and which are unknown where they are
missing. A new major version changes what was there, so that earlier readers refuse it.

    1.0    before descriptions had a format
    1.1    has one; notes what columns are, not only their names and types
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from typing import Any

from lakefeed.documents import from_fields
from lakefeed.errors import TableFailed
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.sessions.transactions import OpenTransactions

FORMAT = "1.1"
_FIRST = "1.0"


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

    @classmethod
    def from_json(cls, text: str | bytes) -> Load:
        """As its description in `_lakefeed_loads` keeps it.

        Raises:
            TableFailed: a newer version wrote it, and would be misread.
        """
        return cls.from_fields(json.loads(text))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Load:
        """From the fields of its JSON document."""
        _refuse_newer(fields)
        return from_fields(cls, {"format": _FIRST, **fields})

    def as_json(self) -> str:
        """One JSON document, of the present format."""
        return json.dumps({**asdict(self), "format": FORMAT}, indent=1)

    @property
    def is_wholly_known(self) -> bool:
        """Whether nothing was ignored that a newer version has noted."""
        return _version(self.format) <= _version(FORMAT)

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


def _refuse_newer(fields: dict[str, Any]) -> None:
    wrote = str(fields.get("format", _FIRST))
    if _version(wrote)[:1] > _version(FORMAT)[:1]:
        raise TableFailed(
            f"it was written by a newer Lakefeed (format {wrote}; this one reads {FORMAT})",
            where=f"load {fields.get('load_id')} of {fields.get('table')}",
            do="upgrade Lakefeed",
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
