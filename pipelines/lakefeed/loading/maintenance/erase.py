"""Erases all versions of one key from a table's raw folder.

    find_versions   searches every file, committed or not
    erase           rewrites the files with versions of the key, without them

Loads are switched to the new files one at a time, oldest first. If the process dies, the remaining
versions are the latest ones, so staging has the row as before or not at all. Erasing the key again
removes the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import duckdb

from lakefeed.errors import Refused
from lakefeed.loading.maintenance.expire import plan_removal, remove, remove_file
from lakefeed.loading.maintenance.rewrite import Rewriting, put, rewrite, tally
from lakefeed.loading.maintenance.scratch_engine import ScratchEngine
from lakefeed.loading.raw.commit_log import PROFILES_FOLDER, CommitLog
from lakefeed.loading.raw.inventory import Inventory
from lakefeed.loading.raw.row_key import Key, condition_on
from lakefeed.loading.raw.scan import ROW, rows_in


@dataclass(frozen=True)
class Versions:
    """The number of versions of a key in a file, from one load; `tombstones` are counted in `rows`.

    `is_torn`: the file was only partly uploaded and can't be read, so its content is unknown.
    """

    load_id: str
    file: str
    size: int
    rows: int = 0
    tombstones: int = 0
    is_torn: bool = False


def find_versions(log: CommitLog, key: Key, at: ScratchEngine) -> list[Versions]:
    """The files with versions of a key, oldest load first. Changes nothing.

    Raises:
        Refused: a file lacks a column of the key, so it can't be searched for it.
    """
    contents = Inventory.of(log)
    positions = {load.load_id: position for position, load in enumerate(log.loads())}
    files = sorted(contents.data_files.items(), key=lambda item: positions.get(item[1], -1))
    return [
        found
        for file, load_id in files
        for found in _search(log, key, at, Versions(load_id, file, contents.sizes[file]), positions)
    ]


def erase(log: CommitLog, key: Key, at: ScratchEngine) -> list[Versions]:
    """Erases all versions of a key from raw. The caller must hold the table's lock.

    The table's first load must be complete.

    Side effects: replaces the files with versions, removes the profiles of their loads, and removes
    files that an interrupted erasure left behind. Returns where versions were found.

    Raises:
        Refused: a file lacks a column of the key; nothing was erased.
    """
    remove(log, plan_removal(log.loads(), Inventory.of(log), keeps_superseded=True))
    found = find_versions(log, key, at)
    for load_id in {versions.load_id for versions in found}:
        remove_file(log, f"{PROFILES_FOLDER}/{load_id}.json")
    rewriting = Rewriting.of(log.loads(), *dict.fromkeys((versions.file,) for versions in found))
    named = {file for load in rewriting.loads for file in load.files}
    committed = tuple(group for group in rewriting.groups if group[0] in named)
    rewrite(log, replace(rewriting, groups=committed), at, partial(_without_key, key))
    uncommitted = {
        versions.file: versions.is_torn for versions in found if versions.file not in named
    }
    _rewrite_uncommitted(log, uncommitted, key, at)
    _forget_bounds(log)
    log.bring_up_pack()
    return found


def _forget_bounds(log: CommitLog) -> None:
    """Removes the keys at which ranges of a first load ended, which nothing reads any more."""
    for load in log.loads():
        if load.range and load.range.upper is not None:
            log.redescribe(replace(load, range=replace(load.range, upper=None)))


def _search(
    log: CommitLog, key: Key, at: ScratchEngine, file: Versions, positions: Mapping[str, int]
) -> Iterator[Versions]:
    """The versions in a file by load; most files have rows of one load only."""
    rows = rows_in(str(at.fetch(log, file.file)))
    try:
        types = at.types_of(rows)
    except duckdb.Error:
        if file.load_id in positions:
            raise
        # An interrupted upload, which the pending load repeats when it resumes.
        yield replace(file, is_torn=True)
        return
    condition = condition_on(key, types)
    if condition is None:
        raise Refused(
            f"{file.file} was loaded with another key, so it can't be searched for "
            f"({', '.join(part.text for part in key)})",
            where=log.path_of(""),
            do="if a full refresh has superseded it, remove it first: lakefeed prune",
        )
    by_load = tally(at, rows, f"where {condition}")
    for load_id in sorted(by_load, key=lambda load_id: positions.get(load_id, -1)):
        counts = by_load[load_id]
        yield replace(file, load_id=load_id, rows=counts.rows, tombstones=counts.tombstones)


def _rewrite_uncommitted(
    log: CommitLog, files: Mapping[str, bool], key: Key, at: ScratchEngine
) -> None:
    """Rewrites files in place: nothing reads them yet, and a pending load commits them by name."""
    for file, is_torn in files.items():
        if is_torn:
            remove_file(log, file)
            continue
        rows, written = rows_in(str(at.fetch(log, file))), at.folder / Path(file).name
        at.write(f"{rows} as {ROW} {_without_key(key, at.types_of(rows))}", written)
        put(log, written, file)
        written.unlink()


def _without_key(key: Key, types: Mapping[str, str]) -> str:
    """A clause that excludes the key."""
    condition = condition_on(key, types)
    assert condition is not None
    return f"where not coalesce({condition}, false)"
