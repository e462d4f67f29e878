"""Copies of small files of rows on this machine, so that each is requested at most once.

    data/.raw/<store>/shop__orders/<load id>.<file id>.parquet

Committed files never change, so that a copy is right for as long as a load names the file. A load
keeps what it uploads; what another machine has uploaded is fetched when it is first read. A copy
that no load names, after a prune or the erasure of a row, goes with the table's next load. All of
it may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from lakefeed.declaration.environment.variables import data_folder
from lakefeed.declaration.project import Location

_MOST_REQUESTS = 8
_LARGEST_BYTES = 4_000_000


def cache_folder(raw: Location, lake_name: str) -> Path:
    """The folder with the copies of a table's files."""
    store = hashlib.blake2b(raw.url.encode(), digest_size=6).hexdigest()
    return data_folder(raw.root) / ".raw" / store / lake_name


def keep_copy(folder: Path, local: Path, name: str) -> None:
    """Keeps a file that was uploaded, by a second name for it where that is possible."""
    if local.stat().st_size > _LARGEST_BYTES:
        return
    # The copy is of use, but nothing depends on it.
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{uuid.uuid4().hex}.part"
        try:
            os.link(local, part)
        except OSError:
            shutil.copyfile(local, part)
        part.replace(folder / name)


def fetch_copies(filesystem: Any, table: str, folder: Path, files: Iterable[str]) -> None:
    """Fetches the copies of these files that aren't there yet, several at once."""
    missing = [file for file in files if not copy_of(folder, file).exists()]
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)

    def fetch(file: str) -> None:
        with suppress(FileNotFoundError):
            part = folder / f"{uuid.uuid4().hex}.part"
            part.write_bytes(filesystem.cat_file(f"{table}/{file}"))
            part.replace(copy_of(folder, file))

    with ThreadPoolExecutor(_MOST_REQUESTS) as threads:
        list(threads.map(fetch, missing))


def copy_of(folder: Path, file: str) -> Path:
    """The path of the copy of a file, whether it is there or not."""
    return folder / file.rpartition("/")[2]


def drop_copy(folder: Path, file: str) -> None:
    """Removes the copy of a file, if there is one."""
    copy_of(folder, file).unlink(missing_ok=True)


def drop_copies(folder: Path, besides: Collection[str]) -> None:
    """Removes the copies of all files but these."""
    if not folder.is_dir():
        return
    kept = {copy_of(folder, file).name for file in besides}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink(missing_ok=True)
