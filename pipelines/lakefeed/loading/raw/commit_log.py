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
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from lakefeed.declaration.project import Location
from lakefeed.errors import Refused
from lakefeed.loading.dlt_settings.schemes import duckdb_url
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.object_store.writing import create_file, replace_file
from lakefeed.loading.raw.load_manifest import MANIFEST, Load, complete, effective
from lakefeed.loading.raw.manifest_pack import MOST_UNPACKED, NAME, pack, unpack
from lakefeed.loading.raw.profile import PROFILE, Profile
from lakefeed.loading.raw.pruning_record import PRUNED, PRUNED_NOTE, Pruned

LOADS_FOLDER = "_lakefeed_loads"
PROFILES_FOLDER = "_lakefeed_profiles"
COMMITS_FOLDER = "_dlt_loads"
# Earlier versions had dlt upload its state; nothing reads it.
STATES_FOLDER = "_dlt_pipeline_state"

_MOST_REQUESTS = 8
_last_read: dict[tuple[Location, str], dict[str, Load]] = {}
# Manifests that this process has written to an object store in this run, until they are first read.
_just_written: dict[str, bytes] = {}

_BY_LOAD_ID = re.compile(r"(?:^|/)([0-9.]+)\.json$")
_LOAD_ID = {
    COMMITS_FOLDER: re.compile(r"__([0-9.]+)\.jsonl$"),
    STATES_FOLDER: re.compile(r"__([0-9.]+)__[^/]*\.jsonl$"),
    LOADS_FOLDER: _BY_LOAD_ID,
    PROFILES_FOLDER: _BY_LOAD_ID,
}


def load_id_of(folder: str, path: str) -> str | None:
    """The load that a file in one of the folders above belongs to; None for other files."""
    match = _LOAD_ID[folder].search(path)
    return match[1] if match else None


def forget_what_was_read() -> None:
    """Begins a run: what was read of any commit log before is no longer taken for present."""
    _last_read.clear()
    _just_written.clear()


class CommitLog:
    """Reads and repairs the commit log in one table's raw folder, on any fsspec filesystem."""

    def __init__(self, raw: Location, lake_name: str) -> None:
        self.filesystem, root = open_raw(raw)
        self.raw, self.lake_name = raw, lake_name
        self.folder = f"{root}/{lake_name}"
        self._url = f"{duckdb_url(raw)}/{lake_name}"
        self._read: list[Load] | None = None
        self._to_pack: list[Load] = []
        # In a store, each manifest outside the pack costs a request.
        self._most_unpacked = MOST_UNPACKED if raw.is_local else 0

    def exists(self) -> bool:
        """Whether the table has a raw folder at all."""
        return bool(self.filesystem.isdir(self.folder))

    def committed_ids(self) -> set[str]:
        """IDs of all committed loads, from one listing."""
        return _ids(COMMITS_FOLDER, self._names(COMMITS_FOLDER))

    def ids_to_stage(self) -> set[str]:
        """IDs of committed loads with a manifest, without ranges of an unfinished first load."""
        return {load.load_id for load in complete(self.loads())}

    def loads(self) -> list[Load]:
        """Committed loads with a manifest, in the order in which they count."""
        committed = self.committed_ids()
        packed = self._packed()
        committed |= self._unlisted(packed.keys() - committed)
        self._read = loads = self._manifests(committed, packed)
        _last_read[(self.raw, self.lake_name)] = {load.load_id: load for load in loads}
        self._to_pack = loads if len(committed - packed.keys()) >= MOST_UNPACKED else []
        return list(loads)

    def loads_besides(self, known: Collection[str]) -> list[Load]:
        """Like `loads`, without those whose ID is known; reads only the manifests of the others."""
        committed = self.committed_ids()
        here = [path for path in _just_written if path.startswith(f"{self.folder}/")]
        committed |= self._unlisted(_ids(LOADS_FOLDER, here) - committed)
        wanted = committed.union(self.ids_seen() or ()).difference(known)
        # One manifest is as little to read as the pack, which may lack it.
        loads = self._manifests(wanted, self._packed() if len(wanted) > 1 else {})
        if read := _last_read.get((self.raw, self.lake_name)):
            read |= {load.load_id: load for load in loads}
        return loads

    def effective_loads(self) -> list[Load]:
        """The loads that count: the newest that supersedes, and later ones."""
        return list(effective(self.loads()))

    def ids_seen(self) -> set[str] | None:
        """IDs of the loads that were last read in this run; None where none were."""
        seen = _last_read.get((self.raw, self.lake_name))
        return None if seen is None else set(seen)

    def described(self, load_ids: Collection[str]) -> list[Load]:
        """These loads, as this run last read them: for what never changes in a manifest."""
        known = _last_read.get((self.raw, self.lake_name), {})
        if not set(load_ids) <= known.keys():
            known = {load.load_id: load for load in self.loads()}
        return [load for load_id, load in known.items() if load_id in load_ids]

    def committed_at(self, load_ids: Collection[str]) -> dict[str, str]:
        """When these loads were committed, by the clock of the machines that ran them."""
        found = ((load_id_of(COMMITS_FOLDER, path), path) for path in self._names(COMMITS_FOLDER))
        paths = {load_id: path for load_id, path in found if load_id in load_ids}
        texts = self._all_of(list(paths.values()))
        entries = zip(paths, texts, strict=True)
        return {
            load_id: json.loads(text)["inserted_at"]
            for load_id, text in entries
            if load_id and text
        }

    def path_of(self, file: str) -> str:
        """The absolute path or URL of a file that a load names."""
        return f"{self._url}/{file}"

    def describe(self, load: Load) -> None:
        """Writes a load manifest; to be called before dlt uploads and commits the load.

        Side effect: rewrites the pack if it lacks too many of the loads that were read last; in an
        object store, where each manifest outside it costs a request, every time.

        Raises:
            Refused: another machine has begun a load of the same id.
        """
        text = MANIFEST.text(load)
        if self.raw.is_local:
            self._write(LOADS_FOLDER, f"{load.load_id}.json", text)
        else:
            self._create_manifest(load, text)
            if self._read is not None:
                # One load after another may follow, as the ranges of a first load do.
                self._read = [one for one in self._read if one.load_id != load.load_id] + [load]
                self._to_pack = self._read
        self._write_pack()

    def redescribe(self, load: Load) -> None:
        """Replaces the manifest of a committed load, in one step.

        Side effect: removes the pack, which has the earlier manifest.
        """
        self._to_pack = []
        self._read = None
        with suppress(FileNotFoundError):
            self.filesystem.rm_file(f"{self.folder}/{LOADS_FOLDER}/{NAME}")
        _just_written.pop(f"{self.folder}/{LOADS_FOLDER}/{load.load_id}.json", None)
        self._write(LOADS_FOLDER, f"{load.load_id}.json", MANIFEST.text(load), durable=True)

    def redescribe_one(self, load: Load) -> None:
        """Replaces the manifest of one committed load, in the pack as well."""
        others = [other for other in self.loads() if other.load_id != load.load_id]
        self.redescribe(load)
        if len(others) >= self._most_unpacked:
            self._write(LOADS_FOLDER, NAME, pack([*others, load]))

    def bring_up_pack(self) -> None:
        """Writes the pack again, after many manifests were replaced or removed."""
        if len(loads := self.loads()) >= self._most_unpacked:
            self._to_pack = loads
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
        return {
            i: PROFILE.read(text, path) for i, path, text in found if text and text.strip(b"\0")
        }

    def complete_since(self) -> dt.datetime | None:
        """Since when raw has the table's complete history; None where nothing was ever pruned."""
        note = self.pruned_note()
        return dt.datetime.fromisoformat(note.complete_since) if note else None

    def pruned_note(self) -> Pruned | None:
        """What was pruned: models built from raw earlier have more; None where nothing ever was."""
        text = self._content(path := f"{self.folder}/{PRUNED_NOTE}")
        return None if text is None else PRUNED.read(text, path)

    def note_pruned(self, complete_since: dt.datetime) -> None:
        """Notes since when the history is complete; to be called before any of it is removed."""
        since = max(complete_since, self.complete_since() or complete_since)
        now = dt.datetime.now(dt.UTC).isoformat()
        note = Pruned(since.isoformat(), now)
        self._write("", PRUNED_NOTE, PRUNED.text(note), durable=True)

    def _names(self, folder: str) -> list[str]:
        try:
            names = self.filesystem.ls(f"{self.folder}/{folder}", detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [str(name) for name in names if not str(name).endswith(".part")]

    def _unlisted(self, load_ids: set[str]) -> set[str]:
        """The committed ones of loads that a listing doesn't show; those of a store may lag."""
        if self.raw.is_local or not load_ids:
            return set()
        from dlt.common.schema.utils import normalize_schema_name

        stem = f"{self.folder}/{COMMITS_FOLDER}/{normalize_schema_name(self.lake_name)}__"
        found = zip(load_ids, self._all_of([f"{stem}{i}.jsonl" for i in load_ids]), strict=True)
        return {load_id for load_id, text in found if text is not None}

    def _packed(self) -> dict[str, Load]:
        """The loads in the pack, committed or not; none where no pack can be read."""
        try:
            return unpack(self.filesystem.cat_file(f"{self.folder}/{LOADS_FOLDER}/{NAME}"))
        except FileNotFoundError:
            return {}

    def _manifests(self, load_ids: set[str], packed: Mapping[str, Load]) -> list[Load]:
        loads = [packed[load_id] for load_id in load_ids & packed.keys()]
        others = sorted(load_ids - packed.keys())
        paths = [f"{self.folder}/{LOADS_FOLDER}/{load_id}.json" for load_id in others]
        found = zip(paths, self._all_of(paths), strict=True)
        loads += [MANIFEST.read(text, path) for path, text in found if text is not None]
        return sorted(loads, key=lambda load: load.order)

    def _all_of(self, paths: list[str]) -> list[bytes | None]:
        """The contents of these files, of an object store several at once; None for none there."""
        if self.raw.is_local or len(paths) < 2:
            return list(map(self._content, paths))
        with ThreadPoolExecutor(_MOST_REQUESTS) as threads:
            return list(threads.map(self._content, paths))

    def _content(self, path: str) -> bytes | None:
        if written := _just_written.pop(path, None):
            return written
        try:
            return bytes(self.filesystem.cat_file(path))
        except FileNotFoundError:
            return None

    def _create_manifest(self, load: Load, text: str) -> None:
        """Writes a manifest that isn't there, or that this machine has written before a kill."""
        path = f"{self.folder}/{LOADS_FOLDER}/{load.load_id}.json"
        try:
            create_file(self.filesystem, path, text.encode())
            _just_written[path] = text.encode()
        except FileExistsError:
            written = MANIFEST.read(self.filesystem.cat_file(path), path)
            if written.files != load.files:
                raise Refused(
                    f"another machine has begun a load of {load.table} with the same id",
                    where=path,
                    do="run again",
                ) from None

    def _write_pack(self) -> None:
        if self._to_pack:
            self._write(LOADS_FOLDER, NAME, pack(self._to_pack))
            self._to_pack = []

    def _write(self, folder: str, name: str, text: str, *, durable: bool = False) -> None:
        """Writes or replaces a file in a folder of the table, in one step."""
        path = "/".join(part for part in (self.folder, folder, name) if part)
        is_local = self.raw.is_local
        replace_file(self.filesystem, path, text, is_local=is_local, durable=durable)


def _ids(folder: str, names: list[str]) -> set[str]:
    return {load_id for name in names if (load_id := load_id_of(folder, name))}
