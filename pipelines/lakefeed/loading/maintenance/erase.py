"""Every version of one key, found in a table's raw folder and taken out of it.

    find_versions   looks into every file, committed or not
    erase           writes the files that hold one anew, without it

The new files count for one load after the other, the oldest first, so that whatever dies leaves
versions of the key that are older than none that is gone: staging has the row as before, or not at
all. What is left goes when it is erased again.
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
    """How many versions of a key a file holds of a load; `tombstones` say that it was deleted.

    A file that was uploaded in part can't be read: it holds what isn't known.
    """

    load_id: str
    file: str
    size: int
    rows: int = 0
    tombstones: int = 0
    is_torn: bool = False


def find_versions(log: CommitLog, key: Key, at: ScratchEngine) -> list[Versions]:
    """The files that hold versions of a key, the oldest load first. Changes nothing.

    Raises:
        Refused: a file lacks a column of the key, so that it can't be told what it holds.
    """
    contents = Inventory.of(log)
    places = {load.load_id: place for place, load in enumerate(log.loads())}
    files = sorted(contents.data_files.items(), key=lambda one: places.get(one[1], -1))
    return [
        found
        for file, load_id in files
        for found in _look(log, key, at, Versions(load_id, file, contents.sizes[file]), places)
    ]


def erase(log: CommitLog, key: Key, at: ScratchEngine) -> list[Versions]:
    """Takes all versions of a key out of raw; to be called by the holder of the table's lock.

    Side effects: files that hold one are replaced, the profiles of their loads removed, and what an
    erasure that died left behind. Returns where versions were found.

    Raises:
        Refused: a file lacks a column of the key; nothing was erased.
    """
    remove(log, plan_removal(log.loads(), Inventory.of(log), keeps_superseded=True))
    found = find_versions(log, key, at)
    for load_id in {one.load_id for one in found}:
        remove_file(log, f"{PROFILES_FOLDER}/{load_id}.json")
    rewriting = Rewriting.of(log.loads(), *dict.fromkeys((one.file,) for one in found))
    named = {file for load in rewriting.loads for file in load.files}
    committed = tuple(group for group in rewriting.groups if group[0] in named)
    rewrite(log, replace(rewriting, groups=committed), at, partial(_less, key))
    _mend_uncommitted(
        log, {one.file: one.is_torn for one in found if one.file not in named}, key, at
    )
    return found


def _look(
    log: CommitLog, key: Key, at: ScratchEngine, file: Versions, places: Mapping[str, int]
) -> Iterator[Versions]:
    """What a file holds of each load; of most files there is one."""
    rows = rows_in(str(at.fetch(log, file.file)))
    try:
        types = at.types_of(rows)
    except duckdb.Error:
        if file.load_id in places:
            raise
        # Its upload was cut short, so that whoever has it pending uploads it again.
        yield replace(file, is_torn=True)
        return
    condition = condition_on(key, types)
    if condition is None:
        raise Refused(
            f"{file.file} was loaded with another key: whether it holds "
            f"({', '.join(part.text for part in key)}) can't be told",
            where=log.path_of(""),
            do="if a full refresh has superseded it, it goes with: lakefeed prune",
        )
    held = tally(at, rows, f"where {condition}")
    for load_id in sorted(held, key=lambda one: places.get(one, -1)):
        counts = held[load_id]
        yield replace(file, load_id=load_id, rows=counts.rows, tombstones=counts.tombstones)


def _mend_uncommitted(
    log: CommitLog, files: Mapping[str, bool], key: Key, at: ScratchEngine
) -> None:
    """Nobody reads these yet, and whoever commits them knows them by their names."""
    for file, is_torn in files.items():
        if is_torn:
            remove_file(log, file)
            continue
        rows, written = rows_in(str(at.fetch(log, file))), at.folder / Path(file).name
        at.write(f"{rows} as {ROW} {_less(key, at.types_of(rows))}", written)
        put(log, written, file)
        written.unlink()


def _less(key: Key, types: Mapping[str, str]) -> str:
    """A clause that leaves the key out."""
    condition = condition_on(key, types)
    assert condition is not None
    return f"where not coalesce({condition}, false)"
