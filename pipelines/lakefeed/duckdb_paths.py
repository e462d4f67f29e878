"""Paths as DuckDB takes them: whatever characters a folder's name has, they mean themselves."""

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
    """The pattern that this path alone matches: DuckDB reads every file name as a pattern.

    A bracket with one sign in it is that sign. DuckDB takes a backslash in a pattern for a
    separator, so that it can't stand for itself: it is given as the range from `[` to `]`, which
    holds those two as well.
    """
    if not any(sign in path for sign in _GLOB):
        return path
    signs = {**{sign: f"[{sign}]" for sign in _GLOB}, "\\": "[[-]]"}
    return "".join(signs.get(sign, sign) for sign in path)


@contextmanager
def writable_database(file: Path) -> Iterator[Path]:
    """The path by which DuckDB can write a database file.

    DuckDB (1.5, `StorageManager::GetWALPath`) puts the `.wal` of its log before the first `?` of
    the file's real path, where no folder is. So a file below such a folder is worked on as a copy
    among the temporary files, which takes its place at the end; after an error it stays as it was.
    """
    if "?" not in os.path.realpath(file):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="lakefeed-", dir=_place_for_copies()) as folder:
        copy = Path(folder, file.name)
        if file.exists():
            shutil.copyfile(file, copy)
        yield copy
        if copy.exists():
            part = file.with_name(f"{file.name}.part")
            shutil.copyfile(copy, part)
            part.replace(file)


def _place_for_copies() -> str:
    for place in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if "?" not in os.path.realpath(place) and os.access(place, os.W_OK):
            return place
    raise LakefeedError(
        "DuckDB can't write in a folder with `?` in its name",
        do="set TMPDIR to a folder without it, where there is room for the warehouse",
    )
