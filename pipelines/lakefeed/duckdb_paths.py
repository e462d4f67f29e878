"""Paths for DuckDB, with special characters escaped so that they match only themselves."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakefeed.errors import LakefeedError

_GLOB = "*?["


def as_pattern(path: str) -> str:
    """Escapes a path as a glob pattern that matches only this path.

    DuckDB treats every file name as a glob pattern and has no other way to escape one
    (duckdb/duckdb#15722). A single character in brackets matches itself. A backslash in a pattern
    is a separator to DuckDB, so it is matched by the range from `[` to `]`, which contains it (and
    the two brackets).
    """
    if not any(character in path for character in _GLOB):
        return path
    escapes = {**{character: f"[{character}]" for character in _GLOB}, "\\": "[[-]]"}
    return "".join(escapes.get(character, character) for character in path)


@contextmanager
def writable_database(file: Path) -> Iterator[Path]:
    """Yields a path at which DuckDB can write this database file.

    DuckDB treats everything after the first `?` of a path as URL parameters and inserts `.wal`
    before it (duckdb/duckdb#21527), which names a folder that doesn't exist. A file in such a
    folder is therefore edited as a temporary copy, which replaces the original at the end. After an
    error the original is unchanged.
    """
    if "?" not in os.path.realpath(file):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="lakefeed-", dir=_folder_for_copies()) as folder:
        copy = Path(folder, file.name)
        if file.exists():
            shutil.copyfile(file, copy)
        yield copy
        if copy.exists():
            part = file.with_name(f"{file.name}.part")
            shutil.copyfile(copy, part)
            part.replace(file)


def _folder_for_copies() -> str:
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if "?" not in os.path.realpath(folder) and os.access(folder, os.W_OK):
            return folder
    raise LakefeedError(
        "DuckDB can't write to a folder with `?` in its path",
        do="set TMPDIR to a folder without `?` in its path and with enough space for the warehouse",
    )
