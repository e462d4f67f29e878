"""Removes superseded loads, and other files that are no longer needed, from a table's raw folder.

    plan_removal   decides, from plain data
    remove         carries it out, under the table's lock

Effective loads start at the latest one that supersedes, so an interrupted removal doesn't change
what raw contains. Load manifests go last: a load with a manifest is found by the next removal.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from lakefeed.loading.raw.commit_log import (
    COMMITS_FOLDER,
    LOADS_FOLDER,
    PROFILES_FOLDER,
    STATES_FOLDER,
    CommitLog,
)
from lakefeed.loading.raw.inventory import Inventory
from lakefeed.loading.raw.load_manifest import Load, superseded
from lakefeed.loading.raw.nearest_files import drop_copy_of


@dataclass(frozen=True)
class Removal:
    """The loads and files to remove, in this order.

    `complete_since` is the earliest time for which `--as-of` still works afterwards; None if that
    doesn't change.
    """

    loads: tuple[Load, ...] = ()
    files: tuple[str, ...] = ()
    size: int = 0
    complete_since: dt.datetime | None = None

    @property
    def rows(self) -> int:
        return sum(load.rows for load in self.loads)

    def complete_from(self, moment: dt.datetime) -> Removal:
        """The same removal, with `complete_since` no earlier than this."""
        return replace(self, complete_since=max(self.complete_since or moment, moment))


def plan_removal(
    loads: list[Load],
    contents: Inventory,
    *,
    keeps_superseded: bool,
    cutoff: dt.datetime | None = None,
) -> Removal:
    """What can be removed from a raw folder without a change in staging.

    That is: superseded loads, remains of interrupted removals and writers, and dlt's states, which
    earlier versions uploaded. Files of uncommitted loads stay, since another machine may be about
    to commit them.

    Args:
        loads: the committed loads in their effective order.
        keeps_superseded: superseded loads are still needed, such as for history.
        cutoff: loads superseded by this time are removed nevertheless.
    """
    outdated = loads_by(loads, cutoff) if cutoff else []
    removed = tuple(superseded(outdated if keeps_superseded else loads))
    kept = loads[len(removed) :]
    files = tuple(dict.fromkeys(_files_to_remove(removed, kept, contents)))
    complete_since = dt.datetime.fromisoformat(kept[0].snapshot_at) if removed else None
    return Removal(removed, files, contents.size_of(files), complete_since)


def loads_by(loads: Sequence[Load], moment: dt.datetime) -> list[Load]:
    """The loads whose snapshot was taken by this time."""
    return [load for load in loads if dt.datetime.fromisoformat(load.snapshot_at) <= moment]


def remove(log: CommitLog, removal: Removal) -> None:
    """Carries out a planned removal. The caller must hold the table's lock.

    Side effect: first records the earliest time for which `--as-of` still works.
    """
    if removal.complete_since:
        log.note_pruned(removal.complete_since)
    for file in removal.files:
        remove_file(log, file)


def remove_file(log: CommitLog, file: str) -> None:
    """Removes a file from the raw folder, if it exists, and its `load_date` folder if empty."""
    path = f"{log.folder}/{file}"
    with suppress(FileNotFoundError):
        log.filesystem.rm_file(path)
    drop_copy_of(log, file)
    # Object stores have no empty folders.
    if file.endswith(".parquet") and log.raw.is_local:
        with suppress(OSError):
            log.filesystem.rmdir(path.rsplit("/", 1)[0])


def _files_to_remove(
    removed: Sequence[Load], kept: Sequence[Load], contents: Inventory
) -> Iterator[str]:
    ids = {load.load_id for load in removed}
    # A compacted file may have rows of removed and of kept loads.
    needed = {file for load in kept for file in load.files}
    yield from contents.half_written
    yield from contents.present(f for load in removed for f in load.files if f not in needed)
    yield from _replaced_files(kept, contents)
    yield from (path for path, i in contents.files_of(PROFILES_FOLDER).items() if i in ids)
    yield from contents.files_of(STATES_FOLDER)
    yield from _outdated_commits(ids, kept, contents)
    yield from (path for path, i in contents.files_of(LOADS_FOLDER).items() if i in ids)


def _replaced_files(kept: Sequence[Load], contents: Inventory) -> Iterator[str]:
    """Former files of kept loads, which were since rewritten."""
    named = {file for load in kept for file in load.files}
    ids = {load.load_id for load in kept}
    yield from (p for p, i in contents.data_files.items() if i in ids and p not in named)


def _outdated_commits(
    removed: set[str], kept: Sequence[Load], contents: Inventory
) -> Iterator[str]:
    """Commits of removed loads, and commits without a manifest from before the kept loads."""
    with_manifest = set(contents.files_of(LOADS_FOLDER).values())
    start = float(kept[0].load_id) if kept and kept[0].supersedes else 0.0
    for path, load_id in contents.files_of(COMMITS_FOLDER).items():
        is_old = load_id not in with_manifest and float(load_id) < start
        if load_id in removed or is_old:
            yield path
