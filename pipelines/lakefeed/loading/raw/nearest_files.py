"""Where to read files of rows: on this machine, where a copy is, or in raw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lakefeed.loading.object_store.file_cache import (
    cache_folder,
    copy_of,
    drop_copies,
    drop_copy,
    fetch_copies,
)
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.scan import is_compact

# A load of so few rows is a small file.
_FEW_ROWS = 20_000


def nearest_files(log: CommitLog, loads: Sequence[Load]) -> dict[str, str]:
    """Where to read each file that these loads name: a copy's path, or the file's path or URL.

    Side effect: fetches the small files from an object store that this machine has no copy of.
    """
    named = dict.fromkeys(file for load in loads for file in load.files)
    if log.raw.is_local:
        return {file: log.path_of(file) for file in named}
    folder = cache_folder(log.raw, log.lake_name)
    small = (file for load in loads if load.rows <= _FEW_ROWS for file in load.files)
    fetch_copies(log.filesystem, log.folder, folder, (f for f in small if not is_compact(f)))
    copies = {file: copy_of(folder, file) for file in named}
    return {f: str(copy) if copy.exists() else log.path_of(f) for f, copy in copies.items()}


def with_copies(log: CommitLog, load: Load) -> Load:
    """The load, whose files that have a copy on this machine are named by the copies' paths."""
    folder = cache_folder(log.raw, log.lake_name)
    copies = {file: copy_of(folder, file) for file in load.files if not is_compact(file)}
    named = (str(copies[f]) if f in copies and copies[f].exists() else f for f in load.files)
    return replace(load, files=tuple(named))


def drop_other_copies(log: CommitLog, loads: Sequence[Load]) -> None:
    """Removes the copies on this machine of files that none of these loads names."""
    if not log.raw.is_local:
        named = {file for load in loads for file in load.files}
        drop_copies(cache_folder(log.raw, log.lake_name), named)


def drop_copy_of(log: CommitLog, file: str) -> None:
    """Removes the copy on this machine of a file that is removed or replaced in raw."""
    if not log.raw.is_local:
        drop_copy(cache_folder(log.raw, log.lake_name), file)
