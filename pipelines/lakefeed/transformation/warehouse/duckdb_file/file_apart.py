"""A DuckDB file apart from the published one, such as that of a trial build."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lakefeed.declaration.project import Project
from lakefeed.sql import literal, quote
from lakefeed.transformation.dbt_adapter.runner import BuildResult, run_dbt
from lakefeed.transformation.warehouse.duckdb_file.candidate import copy_published
from lakefeed.transformation.warehouse.duckdb_file.failing_rows import (
    failing_rows_of,
    keep_failing_rows,
)
from lakefeed.transformation.warehouse.duckdb_file.open_file import reading, writing


@dataclass(frozen=True)
class FileApart:
    """A file of the same name in another folder."""

    project: Project
    path: Path

    def fill(self) -> None:
        copy_published(self.project, self.path)

    def fill_without_rows(self) -> None:
        published = self.project.warehouse
        if not published.exists():
            return
        try:
            with reading(published), writing(self.path) as session:
                session.execute(f"attach {literal(str(published))} as published (read_only)")
                (name,) = session.execute("select current_database()").fetchall()[0]
                session.execute(f"copy from database published to {quote(name)} (schema)")
                session.execute("detach published")
        except duckdb.Error:
            # A view over a relation that no longer exists can't be recreated: copy the whole file.
            with reading(published):
                shutil.copyfile(published, self.path)

    def run_dbt(self, command: str, arguments: Sequence[str]) -> BuildResult:
        return run_dbt(self.project, command, arguments, self.path)

    def stay(self, target: Path) -> str:
        self.path.replace(target)
        return str(target)

    def leave(self) -> str:
        return str(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def keep_failing_rows(self, result: BuildResult, beside: Path | None = None) -> BuildResult:
        kept = failing_rows_of(beside or self.path)
        return keep_failing_rows(self.project, self.path, result, kept)
