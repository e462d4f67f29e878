"""The commit log of a table's raw folder: which loads belong to the lake, and what they hold.

    raw/shop__orders/orders/load_date=2026-11-23/<load id>.<file id>.parquet   the rows
    raw/shop__orders/_lakefeed_loads/<load id>.json                            what the load holds
    raw/shop__orders/_dlt_loads/<schema>__<load id>.jsonl                      its commit

A load is committed when dlt's `_dlt_loads` has its entry, which dlt writes last. What the load
holds is written before dlt starts to upload, so a committed load is always described. Files without
a commit are never read; they are what a killed load left, or a load still under way.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

import fsspec
from fsspec import AbstractFileSystem

from pipelines.loading.changes import ReadAs
from pipelines.loading.in_flight import InFlight

LOADS_FOLDER = "_lakefeed_loads"
SET_ASIDE_FOLDER = "_lakefeed_set_aside"

_COMMIT = re.compile(r"__([0-9.]+)\.jsonl$")
_STATE = re.compile(r"__([0-9.]+)__[^/]*\.jsonl$")


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
    def from_json(cls, text: str) -> Load:
        """As its description in `_lakefeed_loads` keeps it."""
        fields: dict[str, Any] = json.loads(text)
        for name, kind in (("read_as", ReadAs), ("in_flight", InFlight)):
            fields[name] = kind.from_json(fields[name]) if fields.get(name) else None
        return cls(**{**fields, "files": tuple(fields["files"])})

    def as_json(self) -> str:
        """One JSON document."""
        return json.dumps(asdict(self), indent=1)

    @property
    def order(self) -> tuple[str, float]:
        """Loads are ordered by the source's snapshot, then by load id."""
        return (self.snapshot_at, float(self.load_id))

    @property
    def loaded_at(self) -> dt.datetime:
        """When the load began by the clock of the machine that ran it."""
        return dt.datetime.fromtimestamp(float(self.load_id), dt.UTC)


def checkpoint_after(loads: list[Load]) -> str | None:
    """Where these loads, in their order, have come to; a backfill leaves the checkpoint alone."""
    return next((load.checkpoint for load in reversed(loads) if load.checkpoint), None)


class CommitLog:
    """Reads and repairs the commit log in one table's raw folder, on any fsspec filesystem."""

    def __init__(self, raw_url: str, lake_name: str) -> None:
        self.filesystem, root = _open(raw_url)
        self.folder = f"{root.rstrip('/')}/{lake_name}"

    def exists(self) -> bool:
        """Whether the table has a raw folder at all."""
        return bool(self.filesystem.isdir(self.folder))

    def committed_ids(self) -> set[str]:
        """Ids of all committed loads, from one listing."""
        return {match[1] for path in self._names("_dlt_loads") if (match := _COMMIT.search(path))}

    def loads(self) -> list[Load]:
        """Committed loads that hold files, in the order in which they count."""
        committed = self.committed_ids()
        found = [
            self._read(path)
            for path in self._names(LOADS_FOLDER)
            if path.rsplit("/", 1)[-1].removesuffix(".json") in committed
        ]
        return sorted(found, key=lambda load: load.order)

    def effective_loads(self) -> list[Load]:
        """The newest load that supersedes, and what came after it: the loads that still count."""
        loads = self.loads()
        start = max((i for i, load in enumerate(loads) if load.supersedes), default=0)
        return loads[start:]

    def path_of(self, file: str) -> str:
        """The absolute path or URL of a file that a load names."""
        return str(self.filesystem.unstrip_protocol(f"{self.folder}/{file}")).removeprefix(
            "file://"
        )

    def describe(self, load: Load) -> None:
        """Writes what a load holds; done before dlt uploads and commits it."""
        folder = f"{self.folder}/{LOADS_FOLDER}"
        self.filesystem.makedirs(folder, exist_ok=True)
        target = f"{folder}/{load.load_id}.json"
        self.filesystem.write_text(f"{target}.part", load.as_json())
        self.filesystem.mv(f"{target}.part", target)

    def set_aside_uncommitted_states(self) -> list[str]:
        """Moves away state files of loads that were never committed; returns their load ids.

        dlt writes the state before the commit and restores the newest state without looking at
        commits, so that a load killed in between would never be read again. To be called when
        nothing is pending.
        """
        committed = self.committed_ids()
        moved = []
        for path in self._names("_dlt_pipeline_state"):
            match = _STATE.search(path)
            if match and match[1] not in committed:
                folder = f"{self.folder}/{SET_ASIDE_FOLDER}"
                self.filesystem.makedirs(folder, exist_ok=True)
                self.filesystem.mv(path, f"{folder}/{path.rsplit('/', 1)[-1]}")
                moved.append(match[1])
        return moved

    def _names(self, folder: str) -> list[str]:
        path = f"{self.folder}/{folder}"
        if not self.filesystem.isdir(path):
            return []
        names = self.filesystem.ls(path, detail=False)
        return [str(name) for name in names if not str(name).endswith(".part")]

    def _read(self, path: str) -> Load:
        return Load.from_json(self.filesystem.read_text(path))


def _open(raw_url: str) -> tuple[AbstractFileSystem, str]:
    filesystem, root = fsspec.url_to_fs(raw_url)
    filesystem.invalidate_cache()
    return filesystem, str(root)
