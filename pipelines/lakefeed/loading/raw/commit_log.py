"""The commit log of a table's raw folder: which loads belong to the lake, and what they hold.

    raw/shop__orders/orders/load_date=2026-11-23/<load id>.<file id>.parquet   the rows
    raw/shop__orders/_lakefeed_loads/<load id>.json                            what the load holds
    raw/shop__orders/_lakefeed_loads/packed                                    most of these, again
    raw/shop__orders/_lakefeed_profiles/<load id>.json                         its rows in numbers
    raw/shop__orders/_dlt_loads/<schema>__<load id>.jsonl                      its commit
    raw/shop__orders/_lakefeed_pruned.json                                     what is gone of it

A load is committed when dlt's `_dlt_loads` has its entry, which dlt writes last. What the load
holds is written before dlt starts to upload, so a committed load is always described. Files without
a commit are never read; they are what a killed load left, or a load still under way.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from lakefeed.documents import Format
from lakefeed.loading.raw.filesystem import open_raw
from lakefeed.loading.raw.load_manifest import MANIFEST, Load
from lakefeed.loading.raw.manifest_pack import MOST_UNPACKED, NAME, pack, unpack
from lakefeed.loading.raw.profile import PROFILE, Profile

LOADS_FOLDER = "_lakefeed_loads"
PROFILES_FOLDER = "_lakefeed_profiles"
SET_ASIDE_FOLDER = "_lakefeed_set_aside"
COMMITS_FOLDER = "_dlt_loads"
STATES_FOLDER = "_dlt_pipeline_state"
PRUNED_NOTE = "_lakefeed_pruned.json"

T = TypeVar("T")

_COMMIT = re.compile(r"__([0-9.]+)\.jsonl$")
_DESCRIPTION = re.compile(r"(?:^|/)([0-9.]+)\.json$")
_STATE = re.compile(r"__([0-9.]+)__[^/]*\.jsonl$")


@dataclass(frozen=True)
class _Pruned:
    """Since when raw is complete, and when pruning last began; ISO 8601 in UTC."""

    complete_since: str
    pruned_at: str | None = None


PRUNED = Format(_Pruned, "pruning record")


def superseded(loads: list[Load]) -> list[Load]:
    """Those of these loads, in their order, that no longer count."""
    return loads[: _start_of(loads)]


def checkpoint_after(loads: list[Load]) -> str | None:
    """Where these loads, in their order, have come to; a backfill leaves the checkpoint alone."""
    return next((load.checkpoint for load in reversed(loads) if load.checkpoint), None)


class CommitLog:
    """Reads and repairs the commit log in one table's raw folder, on any fsspec filesystem."""

    def __init__(self, raw_url: str, lake_name: str) -> None:
        self.filesystem, root = open_raw(raw_url)
        self.folder = f"{root}/{lake_name}"
        self._to_pack: list[Load] = []

    def exists(self) -> bool:
        """Whether the table has a raw folder at all."""
        return bool(self.filesystem.isdir(self.folder))

    def committed_ids(self) -> set[str]:
        """Ids of all committed loads, from one listing."""
        return {match[1] for path in self._names(COMMITS_FOLDER) if (match := _COMMIT.search(path))}

    def load_ids(self) -> set[str]:
        """Ids of committed loads that hold files, from two listings."""
        return self.committed_ids() & _described(self._names(LOADS_FOLDER))

    def loads(self) -> list[Load]:
        """Committed loads that hold files, in the order in which they count."""
        committed, names = self.committed_ids(), self._names(LOADS_FOLDER)
        counting = committed & _described(names)
        known = self._packed(names)
        unpacked = sorted(counting - known.keys())
        loads = [known[load_id] for load_id in counting & known.keys()]
        loads += self._documents(MANIFEST, LOADS_FOLDER, unpacked)
        loads.sort(key=lambda load: load.order)
        self._to_pack = loads if len(unpacked) >= MOST_UNPACKED else []
        return loads

    def effective_loads(self) -> list[Load]:
        """The newest load that supersedes, and what came after it: the loads that still count."""
        loads = self.loads()
        return loads[_start_of(loads) :]

    def committed_at(self, load_ids: Collection[str]) -> dict[str, str]:
        """When these loads were committed, by the clock of the machines that ran them."""
        found = ((_COMMIT.search(path), path) for path in self._names(COMMITS_FOLDER))
        paths = {match[1]: path for match, path in found if match and match[1] in load_ids}
        texts = self._all_of(list(paths.values()))
        noted = zip(paths, map(json.loads, texts), strict=True)
        return {load_id: entry["inserted_at"] for load_id, entry in noted}

    def path_of(self, file: str) -> str:
        """The absolute path or URL of a file that a load names."""
        return str(self.filesystem.unstrip_protocol(f"{self.folder}/{file}")).removeprefix(
            "file://"
        )

    def describe(self, load: Load) -> None:
        """Writes what a load holds; done before dlt uploads and commits it.

        Side effect: brings the pack up, if too many of the loads that were read last lack in it.
        """
        self._write(LOADS_FOLDER, f"{load.load_id}.json", MANIFEST.text(load))
        self._write_pack()

    def redescribe(self, load: Load) -> None:
        """Replaces what a committed load is said to hold, in one step.

        Side effect: removes the pack, which tells what it held.
        """
        self._to_pack = []
        with suppress(FileNotFoundError):
            self.filesystem.rm_file(f"{self.folder}/{LOADS_FOLDER}/{NAME}")
        self._write(LOADS_FOLDER, f"{load.load_id}.json", MANIFEST.text(load))

    def redescribe_one(self, load: Load) -> None:
        """Replaces what one committed load is said to hold; the pack then tells it, too."""
        others = [one for one in self.loads() if one.load_id != load.load_id]
        self.redescribe(load)
        if len(others) >= MOST_UNPACKED:
            self._write(LOADS_FOLDER, NAME, pack([*others, load]))

    def bring_up_pack(self) -> None:
        """Has a pack again, after many descriptions were replaced."""
        self.loads()
        self._write_pack()

    def keep_profile(self, load_id: str, text: str) -> None:
        """Writes what the rows of a load look like; done before it is committed."""
        self._write(PROFILES_FOLDER, f"{load_id}.json", text)

    def profiles(self, load_ids: Collection[str]) -> dict[str, Profile]:
        """The profiles of these loads, as far as they were kept."""
        kept = sorted(_described(self._names(PROFILES_FOLDER)) & set(load_ids))
        return dict(zip(kept, self._documents(PROFILE, PROFILES_FOLDER, kept), strict=True))

    def complete_since(self) -> dt.datetime | None:
        """Since when raw can tell how the table stood; None where nothing was ever pruned."""
        note = self._pruned_note()
        return dt.datetime.fromisoformat(note.complete_since) if note else None

    def pruned_at(self) -> str | None:
        """When versions last began to be removed: what was made of raw before has more of them."""
        note = self._pruned_note()
        return note.pruned_at if note else None

    def note_pruned(self, complete_since: dt.datetime) -> None:
        """To be called before anything is removed that says how the table stood before."""
        since = max(complete_since, self.complete_since() or complete_since)
        now = dt.datetime.now(dt.UTC).isoformat()
        self._write("", PRUNED_NOTE, PRUNED.text(_Pruned(since.isoformat(), now)))

    def set_aside_uncommitted_states(self) -> list[str]:
        """Moves away state files of loads that were never committed; returns their load ids.

        dlt writes the state before the commit and restores the newest state without looking at
        commits, so that a load killed in between would never be read again. To be called when
        nothing is pending.
        """
        committed = self.committed_ids()
        moved = []
        for path in self._names(STATES_FOLDER):
            match = _STATE.search(path)
            if match and match[1] not in committed:
                folder = f"{self.folder}/{SET_ASIDE_FOLDER}"
                self.filesystem.makedirs(folder, exist_ok=True)
                self.filesystem.mv(path, f"{folder}/{path.rsplit('/', 1)[-1]}")
                moved.append(match[1])
        return moved

    def _pruned_note(self) -> _Pruned | None:
        path = f"{self.folder}/{PRUNED_NOTE}"
        if not self.filesystem.exists(path):
            return None
        return PRUNED.read(self.filesystem.cat_file(path), path)

    def _names(self, folder: str) -> list[str]:
        path = f"{self.folder}/{folder}"
        if not self.filesystem.isdir(path):
            return []
        names = self.filesystem.ls(path, detail=False)
        return [str(name) for name in names if not str(name).endswith(".part")]

    def _packed(self, names: list[str]) -> dict[str, Load]:
        """The loads in the pack, committed or not; none where there is no pack of use."""
        if not any(name.rsplit("/", 1)[-1] == NAME for name in names):
            return {}
        try:
            return unpack(self.filesystem.cat_file(f"{self.folder}/{LOADS_FOLDER}/{NAME}"))
        except FileNotFoundError:
            return {}

    def _documents(self, form: Format[T], folder: str, load_ids: list[str]) -> list[T]:
        """The documents of these loads in a folder."""
        paths = [f"{self.folder}/{folder}/{load_id}.json" for load_id in load_ids]
        return list(map(form.read, self._all_of(paths), paths))

    def _all_of(self, paths: list[str]) -> list[bytes]:
        """The contents of these files, in one request if the filesystem supports that."""
        return (
            list(self.filesystem.cat_ranges(paths, None, None, on_error="raise")) if paths else []
        )

    def _write_pack(self) -> None:
        if self._to_pack:
            self._write(LOADS_FOLDER, NAME, pack(self._to_pack))
            self._to_pack = []

    def _write(self, folder: str, name: str, text: str) -> None:
        """Puts a whole file into a folder of the table, in the place of an earlier one."""
        folder = f"{self.folder}/{folder}".rstrip("/")
        self.filesystem.makedirs(folder, exist_ok=True)
        self.filesystem.write_text(f"{folder}/{name}.part", text)
        self.filesystem.mv(f"{folder}/{name}.part", f"{folder}/{name}")


def _start_of(loads: list[Load]) -> int:
    """Where the newest load that supersedes stands, from which on loads count."""
    return max((i for i, load in enumerate(loads) if load.supersedes), default=0)


def _described(names: list[str]) -> set[str]:
    return {match[1] for name in names if (match := _DESCRIPTION.search(name))}
