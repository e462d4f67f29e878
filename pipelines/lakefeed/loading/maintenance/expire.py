"""Loads that no longer count, and what else nothing needs, removed from a table's raw folder.

    plan_removal   decides, from plain data
    remove         does it, under the table's lock

Loads count from the newest that supersedes on, so a removal that dies anywhere leaves raw saying
what it said. Descriptions go last: as long as a load is described, the next removal finds it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from fsspec.implementations.local import LocalFileSystem

from lakefeed.loading.raw.commit_log import (
    COMMITS_FOLDER,
    LOADS_FOLDER,
    PROFILES_FOLDER,
    STATES_FOLDER,
    CommitLog,
    superseded,
)
from lakefeed.loading.raw.inventory import Inventory
from lakefeed.loading.raw.load_manifest import Load


@dataclass(frozen=True)
class Removal:
    """Which loads go, and which files, in the order in which they are to go.

    `complete_since` is since when the rest can tell how the table stood; None where it can tell
    what it could before.
    """

    loads: tuple[Load, ...] = ()
    files: tuple[str, ...] = ()
    size: int = 0
    complete_since: dt.datetime | None = None

    @property
    def rows(self) -> int:
        return sum(load.rows for load in self.loads)

    def complete_from(self, moment: dt.datetime) -> Removal:
        """The same, where the rest can tell how the table stood from then on at the earliest."""
        return replace(self, complete_since=max(self.complete_since or moment, moment))


def plan_removal(
    loads: list[Load],
    contents: Inventory,
    *,
    keeps_superseded: bool,
    cutoff: dt.datetime | None = None,
) -> Removal:
    """What can go from a raw folder without a change of what it says.

    Superseded loads; what earlier removals and writers that were killed left; dlt's states but the
    newest that is committed, which is the one that dlt restores. Files of loads without a commit
    stay: another machine may be about to commit them.

    Args:
        loads: those that are committed, in the order in which they count.
        keeps_superseded: something reads superseded loads too.
        cutoff: what was superseded by then goes nevertheless.
    """
    outdated = loads_by(loads, cutoff) if cutoff else []
    gone = tuple(superseded(outdated if keeps_superseded else loads))
    kept = loads[len(gone) :]
    files = tuple(dict.fromkeys(_files_to_remove(gone, kept, contents)))
    complete_since = dt.datetime.fromisoformat(kept[0].snapshot_at) if gone else None
    return Removal(gone, files, contents.size_of(files), complete_since)


def loads_by(loads: Sequence[Load], moment: dt.datetime) -> list[Load]:
    """Those of these loads whose snapshots had been taken by then."""
    return [load for load in loads if dt.datetime.fromisoformat(load.snapshot_at) <= moment]


def remove(log: CommitLog, removal: Removal) -> None:
    """Removes what was planned; to be called by the holder of the table's lock.

    Side effect: before that, it is noted since when raw can tell how the table stood.
    """
    if removal.complete_since:
        log.note_pruned(removal.complete_since)
    for file in removal.files:
        remove_file(log, file)


def remove_file(log: CommitLog, file: str) -> None:
    """Removes a file of the table's raw folder, if it is there, and a day's folder once empty."""
    path = f"{log.folder}/{file}"
    with suppress(FileNotFoundError):
        log.filesystem.rm_file(path)
    # Object stores have no folders to be left empty.
    if file.endswith(".parquet") and isinstance(log.filesystem, LocalFileSystem):
        with suppress(OSError):
            log.filesystem.rmdir(path.rsplit("/", 1)[0])


def _files_to_remove(
    gone: Sequence[Load], kept: Sequence[Load], contents: Inventory
) -> Iterator[str]:
    ids = {load.load_id for load in gone}
    # A compact file can have rows of both.
    needed = {file for load in kept for file in load.files}
    yield from contents.half_written
    yield from contents.present(f for load in gone for f in load.files if f not in needed)
    yield from _unnamed(kept, contents)
    yield from (path for path, i in contents.files_of(PROFILES_FOLDER).items() if i in ids)
    states, newest = _old_states(contents)
    yield from states
    yield from _useless_commits(ids, kept, contents, newest)
    yield from (path for path, i in contents.files_of(LOADS_FOLDER).items() if i in ids)


def _unnamed(kept: Sequence[Load], contents: Inventory) -> Iterator[str]:
    """Files that a load had before it was rewritten without some of its rows."""
    named = {file for load in kept for file in load.files}
    ids = {load.load_id for load in kept}
    yield from (p for p, i in contents.data_files.items() if i in ids and p not in named)


def _old_states(contents: Inventory) -> tuple[list[str], str | None]:
    """States that dlt will never restore, and the id of the load that wrote the one it will."""
    committed = set(contents.files_of(COMMITS_FOLDER).values())
    states = {p: i for p, i in contents.files_of(STATES_FOLDER).items() if i in committed}
    # As dlt compares them.
    newest = max(states.values(), default=None)
    return [path for path, load_id in states.items() if load_id != newest], newest


def _useless_commits(
    gone: set[str], kept: Sequence[Load], contents: Inventory, newest_state: str | None
) -> Iterator[str]:
    """Commits of loads that go, and those without a description from before what is kept.

    Not that of the load which wrote dlt's newest state: without it, the state would be taken for
    one that a killed load left.
    """
    described = set(contents.files_of(LOADS_FOLDER).values())
    start = float(kept[0].load_id) if kept and kept[0].supersedes else 0.0
    for path, load_id in contents.files_of(COMMITS_FOLDER).items():
        is_old = load_id not in described and float(load_id) < start
        if (load_id in gone or is_old) and load_id != newest_state:
            yield path
