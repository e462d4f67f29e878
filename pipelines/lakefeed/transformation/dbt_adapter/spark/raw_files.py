"""The raw files of loads as Spark must be told of them: as paths of Hadoop's file systems."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lakefeed.declaration.project import Location
from lakefeed.transformation.dbt_adapter.announcement import log_of
from lakefeed.transformation.dbt_adapter.file_groups import FileGroup

# Hadoop takes paths as patterns, in which a backslash makes a sign stand for itself.
_SIGNS = re.compile(r"([*?\[\]{}\\])")


def paths_of(
    group: FileGroup, loads: Sequence[Mapping[str, Any]], raw: Location | None
) -> list[str]:
    """The paths of a group's files, taken literally."""
    log = log_of(loads[0]["folder"], raw)
    if log.raw.is_local:
        paths = [str(Path(log.folder, file).resolve()) for file in group.files]
        return ["file:" + _SIGNS.sub(r"\\\1", path) for path in paths]
    scheme, _, path = f"{log.raw.url}/{log.lake_name}".partition("://")
    begins = f"{'s3a' if scheme == 's3' else scheme}://"
    return [begins + _SIGNS.sub(r"\\\1", f"{path}/{file}") for file in group.files]
