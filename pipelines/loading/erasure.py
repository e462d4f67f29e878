"""Every version of one key, found in a table's raw folder and taken out of it.

    find_versions   looks into every file, committed or not
    erase           writes the files that hold one anew, without it, the oldest load first

A load at a time, so that whatever dies leaves versions of the key that are older than none that is
gone: staging has the row as before, or not at all. What is left goes when it is erased again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
from duckdb import DuckDBPyConnection

from pipelines.errors import Refused
from pipelines.loading.commits import PROFILES_FOLDER, CommitLog
from pipelines.loading.contents import Contents
from pipelines.loading.description import Load
from pipelines.loading.key import Key, condition_on
from pipelines.loading.plan import DELETED_AT
from pipelines.loading.removal import plan_removal, remove, remove_file
from pipelines.loading.rewriting import fetch, new_name, put


@dataclass(frozen=True)
class Versions:
    """How many versions of a key one file holds; `tombstones` of them say that it was deleted.

    A file that was uploaded in part can't be read: it holds what isn't known.
    """

    load_id: str
    file: str
    size: int
    rows: int
    tombstones: int = 0
    is_torn: bool = False


@dataclass(frozen=True)
class Workplace:
    """The engine that reads files, and a folder for those in work."""

    engine: DuckDBPyConnection
    folder: Path


def find_versions(log: CommitLog, key: Key, at: Workplace) -> list[Versions]:
    """The files that hold versions of a key, the oldest load first. Changes nothing.

    Raises:
        Refused: a file lacks a column of the key, so that it can't be told what it holds.
    """
    contents = Contents.of(log)
    places = {load.load_id: place for place, load in enumerate(log.loads())}
    files = sorted(contents.data_files.items(), key=lambda one: places.get(one[1], -1))
    looked = (
        _look(log, key, at, Versions(load_id, file, contents.sizes[file], 0), load_id in places)
        for file, load_id in files
    )
    return [found for found in looked if found.rows or found.is_torn]


def erase(log: CommitLog, key: Key, at: Workplace) -> list[Versions]:
    """Takes all versions of a key out of raw; to be called by the holder of the table's lock.

    Side effects: files that hold one are replaced, the profiles of their loads removed, and what an
    erasure that died left behind. Returns where versions were found.

    Raises:
        Refused: a file lacks a column of the key; nothing was erased.
    """
    remove(log, plan_removal(log.loads(), Contents.of(log), keeps_superseded=True))
    found = find_versions(log, key, at)
    loads = {load.load_id: load for load in log.loads()}
    by_load: dict[str, list[Versions]] = {}
    for one in found:
        by_load.setdefault(one.load_id, []).append(one)
    for load_id, files in by_load.items():
        remove_file(log, f"{PROFILES_FOLDER}/{load_id}.json")
        if load_id in loads:
            _rewrite(log, loads[load_id], files, key, at)
        else:
            _mend_uncommitted(log, files, key, at)
    return found


def _look(log: CommitLog, key: Key, at: Workplace, file: Versions, is_committed: bool) -> Versions:
    try:
        copy = fetch(log, file.file, at.engine, at.folder)
        types = copy.types()
    except duckdb.Error:
        if is_committed:
            raise
        # Its upload was cut short, so that whoever has it pending uploads it again.
        return replace(file, is_torn=True)
    condition = condition_on(key, types)
    if condition is None:
        raise Refused(
            f"{file.file} was loaded with another key: whether it holds "
            f"({', '.join(part.text for part in key)}) can't be told",
            where=log.path_of(""),
            do="if a full refresh has superseded it, it goes with: lakefeed prune",
        )
    rows = copy.count(condition)
    gone = copy.count(f"({condition}) and {DELETED_AT} is not null") if DELETED_AT in types else 0
    return replace(file, rows=rows, tombstones=gone)


def _rewrite(
    log: CommitLog, load: Load, found: Sequence[Versions], key: Key, at: Workplace
) -> None:
    """New files first, then the one step that makes them count, then the old ones go."""
    names = {one.file: new_name(one.file) for one in found}
    for old, new in names.items():
        _put_without(log, old, new, key, at)
    tombstones = sum(one.tombstones for one in found)
    log.redescribe(
        replace(
            load,
            files=tuple(names.get(file, file) for file in load.files),
            rows=load.rows - sum(one.rows for one in found) + tombstones,
            deleted=load.deleted - tombstones,
        )
    )
    for old in names:
        remove_file(log, old)


def _mend_uncommitted(log: CommitLog, found: Iterable[Versions], key: Key, at: Workplace) -> None:
    """Nobody reads these yet, and whoever commits them knows them by their names."""
    for one in found:
        if one.is_torn:
            remove_file(log, one.file)
        else:
            _put_without(log, one.file, one.file, key, at)


def _put_without(log: CommitLog, old: str, new: str, key: Key, at: Workplace) -> None:
    copy = fetch(log, old, at.engine, at.folder)
    condition = condition_on(key, copy.types())
    assert condition is not None
    written = at.folder / Path(new).name
    copy.write_without(condition, written)
    put(log, written, new)
    written.unlink()
