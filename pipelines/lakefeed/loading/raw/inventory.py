"""What lies in the raw folder of a table: every file and its size, from one listing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lakefeed.loading.raw.commit_log import (
    COMMITS_FOLDER,
    LOADS_FOLDER,
    PROFILES_FOLDER,
    STATES_FOLDER,
    CommitLog,
)

# Where the id of the load stands in the names of files, by the folder that they are in.
_LOAD_ID = {
    COMMITS_FOLDER: re.compile(r"__([0-9.]+)\.jsonl$"),
    STATES_FOLDER: re.compile(r"__([0-9.]+)__[^/]*\.jsonl$"),
    LOADS_FOLDER: re.compile(r"^([0-9.]+)\.json$"),
    PROFILES_FOLDER: re.compile(r"^([0-9.]+)\.json$"),
}
_DATA = re.compile(r"^([0-9]+\.[0-9]+)\..*\.parquet$")


@dataclass(frozen=True)
class Inventory:
    """Sizes in bytes by path, below the raw folder of one table."""

    sizes: Mapping[str, int]

    @classmethod
    def of(cls, log: CommitLog) -> Inventory:
        """All that is there now; nothing where the table has no folder."""
        found = log.filesystem.find(log.folder, detail=True) if log.exists() else {}
        start = len(log.folder) + 1
        return cls({str(path)[start:]: int(info["size"] or 0) for path, info in found.items()})

    def files_of(self, folder: str) -> dict[str, str]:
        """Load ids by path, of commits, states, descriptions or profiles."""
        paths = (path for path in self.sizes if path.startswith(f"{folder}/"))
        matches = {path: _LOAD_ID[folder].search(path.removeprefix(f"{folder}/")) for path in paths}
        return {path: match[1] for path, match in matches.items() if match}

    @property
    def data_files(self) -> dict[str, str]:
        """Load ids by path, of files with rows, committed or not."""
        matches = {path: _DATA.match(path.rsplit("/", 1)[-1]) for path in self.sizes}
        return {path: match[1] for path, match in matches.items() if match}

    @property
    def half_written(self) -> list[str]:
        """What a writer that was killed left, and nobody reads."""
        return [path for path in self.sizes if path.endswith(".part")]

    def size_of(self, paths: Iterable[str]) -> int:
        """Bytes of these files together."""
        return sum(self.sizes[path] for path in paths)

    def present(self, paths: Iterable[str]) -> Iterator[str]:
        """Those of these files that are there."""
        return (path for path in paths if path in self.sizes)
