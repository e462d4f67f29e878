"""Every file in a table's raw folder with its size, from one listing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from lakefeed.loading.raw.commit_log import CommitLog, load_id_of

_DATA = re.compile(r"^([0-9]+\.[0-9]+)\..*\.parquet$")


@dataclass(frozen=True)
class Inventory:
    """Sizes in bytes by path, relative to the raw folder of one table."""

    sizes: Mapping[str, int]

    @classmethod
    def of(cls, log: CommitLog) -> Inventory:
        """All files that exist now; none where the table has no folder."""
        found = log.filesystem.find(log.folder, detail=True) if log.exists() else {}
        start = len(log.folder) + 1
        return cls({str(path)[start:]: int(info["size"] or 0) for path, info in found.items()})

    def files_of(self, folder: str) -> dict[str, str]:
        """Load IDs by path, of commits, states, manifests or profiles."""
        paths = (path for path in self.sizes if path.startswith(f"{folder}/"))
        return {path: load_id for path in paths if (load_id := load_id_of(folder, path))}

    @property
    def data_files(self) -> dict[str, str]:
        """Load IDs by path, of files with rows, committed or not."""
        matches = {path: _DATA.match(path.rsplit("/", 1)[-1]) for path in self.sizes}
        return {path: match[1] for path, match in matches.items() if match}

    @property
    def half_written(self) -> list[str]:
        """Files that a killed writer left; no reader takes them."""
        return [path for path in self.sizes if path.endswith(".part")]

    def size_of(self, paths: Iterable[str]) -> int:
        """The total size of these files in bytes."""
        return sum(self.sizes[path] for path in paths)

    def present(self, paths: Iterable[str]) -> Iterator[str]:
        """The files among these that exist."""
        return (path for path in paths if path in self.sizes)
