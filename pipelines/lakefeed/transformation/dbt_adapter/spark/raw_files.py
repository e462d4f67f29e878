"""The raw files of loads as Spark must be told of them: as a pattern of Hadoop's file systems.

    s3a://bucket/raw/shop__orders/{2026-11-23/{one.parquet,two.parquet},2026-11-24/{three.parquet}}

Spark's SQL takes one path, and reads what matches it. It lists each folder once; a file that isn't
there is none that matches, and no error.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Location
from lakefeed.transformation.dbt_adapter.announcement import log_of

# A backslash makes a sign of a pattern stand for itself.
_SIGNS = re.compile(r"([*?\[\]{},\\])")
# Each name of a listed folder is compared with the whole pattern.
_MOST_FILES = 1000


def patterns_of(
    files: Sequence[str], loads: Sequence[Mapping[str, Any]], raw: Location | None
) -> Iterator[str]:
    """The patterns that match these files of a table, and no others."""
    log = log_of(loads[0]["folder"], raw)
    if log.raw.is_local:
        folder = f"file:{_literal(str(Path(log.folder).resolve()))}"
    else:
        scheme, _, path = f"{log.raw.url}/{log.lake_name}".partition("://")
        folder = f"{'s3a' if scheme == 's3' else scheme}://{_literal(path)}"
    for begin in range(0, len(files), _MOST_FILES):
        yield f"{folder}/{_one_of(files[begin : begin + _MOST_FILES])}"


def _one_of(files: Sequence[str]) -> str:
    """The pattern of these files, folder by folder."""
    names = defaultdict(list)
    for file in files:
        folder, _, name = file.rpartition("/")
        names[folder].append(_literal(name))
    return _any_of(
        f"{_literal(folder)}/{_any_of(found)}" if folder else _any_of(found)
        for folder, found in names.items()
    )


def _any_of(patterns: Sequence[str] | Iterator[str]) -> str:
    return f"{{{','.join(patterns)}}}"


def _literal(text: str) -> str:
    return _SIGNS.sub(r"\\\1", text)
