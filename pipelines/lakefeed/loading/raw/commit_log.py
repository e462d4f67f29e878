"""The commit log of a table's raw folder: which loads belong to the lake, and what they hold.

    raw/shop__orders/orders/load_date=2026-11-23/<load id>.<file id>.parquet   rows
    raw/shop__orders/_lakefeed_loads/<load id>.json                            load manifest
    raw/shop__orders/_lakefeed_loads/packed                                    copies of manifests
    raw/shop__orders/_lakefeed_profiles/<load id>.json                         profile of the rows
    raw/shop__orders/_dlt_loads/<schema>__<load id>.jsonl                      commit
    raw/shop__orders/_lakefeed_pruned.json                                     what was pruned

A load is committed when dlt's `_dlt_loads` has its entry, which dlt writes last. The manifest is
written before dlt starts to upload, so a committed load always has one. Files without a commit are
never read: a killed load left them, or their load is still running.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lakefeed.documents import Format
from lakefeed.loading.raw.filesystem import is_local, open_raw
from lakefeed.loading.raw.load_manifest import MANIFEST, Load
from lakefeed.loading.raw.manifest_pack import MOST_UNPACKED, NAME, pack, unpack
from lakefeed.loading.raw.profile import PROFILE, Profile
from lakefeed.textfile import replace_text

LOADS_FOLDER = "_lakefeed_loads"
PROFILES_FOLDER = "_lakefeed_profiles"
SET_ASIDE_FOLDER = "_lakefeed_set_aside"
COMMITS_FOLDER = "_dlt_loads"
STATES_FOLDER = "_dlt_pipeline_state"
PRUNED_NOTE = "_lakefeed_pruned.json"

T = TypeVar("T")

_BY_LOAD_ID = re.compile(r"(?:^|/)([0-9.]+)\.json$")
_LOAD_ID = {
    COMMITS_FOLDER: re.compile(r"__([0-9.]+)\.jsonl$"),
    STATES_FOLDER: re.compile(r"__([0-9.]+)__[^/]*\.jsonl$"),
    LOADS_FOLDER: _BY_LOAD_ID,
    PROFILES_FOLDER: _BY_LOAD_ID,
}


@dataclass(frozen=True)
class _Pruned:
    """Since when raw is complete, and when row versions were last pruned; ISO 8601, in UTC."""

    complete_since: str
    pruned_at: str | None = None


PRUNED = Format(_Pruned, "pruning record")


def load_id_of(folder: str, path: str) -> str | None:
    """The load that a file in one of the folders above belongs to; None for other files."""
    match = _LOAD_ID[folder].search(path)
    return match[1] if match else None


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


class CommitLog:
    """Reads and repairs the commit log in one table's raw folder, on any fsspec filesystem."""

    def __init__(self, raw_url: str, lake_name: str) -> None:
        self.filesystem, root = open_raw(raw_url)
        self._raw_url = raw_url
        self.folder = f"{root}/{lake_name}"
        self._to_pack: list[Load] = []

    def exists(self) -> bool:
        """Whether the table has a raw folder at all."""
        return bool(self.filesystem.isdir(self.folder))

    def committed_ids(self) -> set[str]:
        """IDs of all committed loads, from one listing."""
        return _ids(COMMITS_FOLDER, self._names(COMMITS_FOLDER))

    def load_ids(self) -> set[str]:
        """IDs of committed loads with a manifest, from two listings."""
        return self.committed_ids() & _ids(LOADS_FOLDER, self._names(LOADS_FOLDER))

    def loads(self) -> list[Load]:
        """Committed loads with a manifest, in the order in which they count."""
        committed, names = self.committed_ids(), self._names(LOADS_FOLDER)
        counting = committed & _ids(LOADS_FOLDER, names)
        known = self._packed(names)
        unpacked = sorted(counting - known.keys())
        loads = [known[load_id] for load_id in counting & known.keys()]
        loads += self._documents(MANIFEST, LOADS_FOLDER, unpacked)
        loads.sort(key=lambda load: load.order)
        self._to_pack = loads if len(unpacked) >= MOST_UNPACKED else []
        return loads

    def effective_loads(self) -> list[Load]:
        """The loads that count: the newest that supersedes, and later ones."""
        return list(effective(self.loads()))

    def committed_at(self, load_ids: Collection[str]) -> dict[str, str]:
        """When these loads were committed, by the clock of the machines that ran them."""
        found = ((load_id_of(COMMITS_FOLDER, path), path) for path in self._names(COMMITS_FOLDER))
        paths = {load_id: path for load_id, path in found if load_id in load_ids}
        texts = self._all_of(list(paths.values()))
        entries = zip(paths, map(json.loads, texts), strict=True)
        return {load_id: entry["inserted_at"] for load_id, entry in entries if load_id}

    def path_of(self, file: str) -> str:
        """The absolute path or URL of a file that a load names."""
        return str(self.filesystem.unstrip_protocol(f"{self.folder}/{file}")).removeprefix(
            "file://"
        )

    def describe(self, load: Load) -> None:
        """Writes a load manifest; to be called before dlt uploads and commits the load.

        Side effect: rewrites the pack if it lacks too many of the loads that were read last.
        """
        self._write(LOADS_FOLDER, f"{load.load_id}.json", MANIFEST.text(load))
        self._write_pack()

    def redescribe(self, load: Load) -> None:
        """Replaces the manifest of a committed load, in one step.

        Side effect: removes the pack, which has the earlier manifest.
        """
        self._to_pack = []
        with suppress(FileNotFoundError):
            self.filesystem.rm_file(f"{self.folder}/{LOADS_FOLDER}/{NAME}")
        self._write(LOADS_FOLDER, f"{load.load_id}.json", MANIFEST.text(load), durable=True)

    def redescribe_one(self, load: Load) -> None:
        """Replaces the manifest of one committed load, in the pack as well."""
        others = [other for other in self.loads() if other.load_id != load.load_id]
        self.redescribe(load)
        if len(others) >= MOST_UNPACKED:
            self._write(LOADS_FOLDER, NAME, pack([*others, load]))

    def bring_up_pack(self) -> None:
        """Writes the pack again, after many manifests were replaced."""
        self.loads()
        self._write_pack()

    def keep_profile(self, load_id: str, text: str) -> None:
        """Writes the profile of a load's rows; to be called before the load is committed."""
        self._write(PROFILES_FOLDER, f"{load_id}.json", text)

    def profiles(self, load_ids: Collection[str]) -> dict[str, Profile]:
        """The profiles of these loads, as far as there are any."""
        kept = sorted(_ids(PROFILES_FOLDER, self._names(PROFILES_FOLDER)) & set(load_ids))
        paths = [f"{self.folder}/{PROFILES_FOLDER}/{load_id}.json" for load_id in kept]
        found = zip(kept, paths, self._all_of(paths), strict=True)
        # A commit doesn't wait for the disk to have the profile, which a power failure may empty.
        return {i: PROFILE.read(text, path) for i, path, text in found if text.strip(b"\0")}

    def complete_since(self) -> dt.datetime | None:
        """Since when raw has the table's complete history; None where nothing was ever pruned."""
        note = self._pruned_note()
        return dt.datetime.fromisoformat(note.complete_since) if note else None

    def pruned_at(self) -> str | None:
        """When row versions were last pruned: models built from raw earlier have more of them."""
        note = self._pruned_note()
        return note.pruned_at if note else None

    def note_pruned(self, complete_since: dt.datetime) -> None:
        """Notes since when the history is complete; to be called before any of it is removed."""
        since = max(complete_since, self.complete_since() or complete_since)
        now = dt.datetime.now(dt.UTC).isoformat()
        note = _Pruned(since.isoformat(), now)
        self._write("", PRUNED_NOTE, PRUNED.text(note), durable=True)

    def set_aside_uncommitted_states(self) -> list[str]:
        """Moves away state files of loads that were never committed; returns their load IDs.

        dlt writes its state before the commit, and restores the newest state without looking at
        commits: after a load that was killed in between, `dlt pipeline` would show a checkpoint
        that no load has reached. To be called when nothing is pending.
        """
        committed = self.committed_ids()
        moved = []
        for path in self._names(STATES_FOLDER):
            load_id = load_id_of(STATES_FOLDER, path)
            if load_id and load_id not in committed:
                folder = f"{self.folder}/{SET_ASIDE_FOLDER}"
                self.filesystem.makedirs(folder, exist_ok=True)
                self.filesystem.mv(path, f"{folder}/{path.rsplit('/', 1)[-1]}")
                moved.append(load_id)
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
        """The loads in the pack, committed or not; none where no pack can be read."""
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
        """The contents of these files, requested all at once where the filesystem can do that."""
        return (
            list(self.filesystem.cat_ranges(paths, None, None, on_error="raise")) if paths else []
        )

    def _write_pack(self) -> None:
        if self._to_pack:
            self._write(LOADS_FOLDER, NAME, pack(self._to_pack))
            self._to_pack = []

    def _write(self, folder: str, name: str, text: str, *, durable: bool = False) -> None:
        """Writes or replaces a file in a folder of the table, in one step."""
        folder = f"{self.folder}/{folder}".rstrip("/")
        self.filesystem.makedirs(folder, exist_ok=True)
        if is_local(self._raw_url):
            replace_text(Path(folder, name), text, durable=durable)
            return
        self.filesystem.write_text(f"{folder}/{name}.part", text)
        self.filesystem.mv(f"{folder}/{name}.part", f"{folder}/{name}")


def _start_of(loads: Sequence[Load]) -> int:
    """The position of the newest load that supersedes earlier ones; 0 without one."""
    return max((i for i, load in enumerate(loads) if load.supersedes), default=0)


def _ids(folder: str, names: list[str]) -> set[str]:
    return {load_id for name in names if (load_id := load_id_of(folder, name))}
