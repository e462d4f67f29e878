"""The load manifest: what one load contains, written to the table's raw folder before the commit.

`"format": "1.1"` is the version of the manifest and of the files beside it. A new minor version
adds fields: earlier readers ignore them, and they are unknown in older manifests. A new major
version changes existing fields, so earlier readers refuse it.

    1.0    manifests without a format version
    1.1    adds the format version and the identities of columns
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

    @classmethod
    def from_json(cls, text: str | bytes) -> Load:
        """Parses a load manifest.

        Raises:
            TableFailed: its format is newer than this version can read.
        """
        return cls.from_fields(json.loads(text))

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> Load:
        """From the fields of its JSON document."""
        _refuse_newer(fields)
        return from_fields(cls, {"format": _FIRST, **fields})

    def as_json(self) -> str:
        """One JSON document in the current format."""
        return json.dumps({**asdict(self), "format": FORMAT}, indent=1)

    @property
    def is_wholly_known(self) -> bool:
        """Whether this version knows all fields, so that none was ignored."""
        return _version(self.format) <= _version(FORMAT)

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


def _refuse_newer(fields: dict[str, Any]) -> None:
    wrote = str(fields.get("format", _FIRST))
    if _version(wrote)[:1] > _version(FORMAT)[:1]:
        raise TableFailed(
            f"written by a newer version of Lakefeed (format {wrote}; this one reads {FORMAT})",
            where=f"load {fields.get('load_id')} of {fields.get('table')}",
            do="upgrade Lakefeed",
        )


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))
