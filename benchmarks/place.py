"""Where the benchmarks keep what they make, and where the repository is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Place:
    """The git-ignored folder of the benchmarks; its data is used again by the next run."""

    root: Path = REPOSITORY / ".bench"

    @property
    def server(self) -> Path:
        """The data of the embedded PostgreSQL."""
        return self.root / "postgres"

    @property
    def generated(self) -> Path:
        """Files on their way into the database."""
        return self.root / "generated"

    def program(self, environment: str, name: str) -> Path:
        """A program in one of the contenders' environments."""
        return self.root / "venvs" / environment / "bin" / name

    def lake(self, name: str) -> Path:
        """A Lakefeed project that outlives a run of the benchmarks."""
        return self.root / "lakes" / name

    def fresh(self, name: str) -> Path:
        """An empty folder for one run of one contender."""
        folder = self.root / "runs" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def drop_lake(self, name: str) -> None:
        """Removes such a project."""
        shutil.rmtree(self.lake(name), ignore_errors=True)

    def drop_runs(self) -> None:
        """Removes what contenders wrote."""
        shutil.rmtree(self.root / "runs", ignore_errors=True)
