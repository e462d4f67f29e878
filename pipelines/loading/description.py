"""What one load holds, as it is described in a table's raw folder before it is committed."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.loading.changes import ReadAs
from pipelines.loading.in_flight import InFlight


@dataclass(frozen=True)
class Load:
    """What one load holds. Times are ISO 8601 in UTC by the source's clock; cursors are text.

    `deleted` counts the rows that were found to have left the source. `supersedes` is true where
    the load is the whole table, so that earlier loads no longer count. `read_as` and
    `in_flight` are None in loads of versions that didn't note them.
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
    read_as: ReadAs | None = None
    in_flight: InFlight | None = None

    @classmethod
    def from_json(cls, text: str | bytes) -> Load:
        """As its description in `_lakefeed_loads` keeps it."""
        fields: dict[str, Any] = json.loads(text)
        read_as = fields.get("read_as")
        return cls.from_fields(fields, ReadAs.from_json(read_as) if read_as else None)

    @classmethod
    def from_fields(cls, fields: dict[str, Any], read_as: ReadAs | None) -> Load:
        """From the fields of its JSON document, but for how it was read."""
        in_flight = fields.get("in_flight")
        known = {
            "files": tuple(fields["files"]),
            "read_as": read_as,
            "in_flight": InFlight.from_json(in_flight) if in_flight else None,
        }
        return cls(**{**fields, **known})

    def as_json(self) -> str:
        """One JSON document."""
        return json.dumps(asdict(self), indent=1)

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
