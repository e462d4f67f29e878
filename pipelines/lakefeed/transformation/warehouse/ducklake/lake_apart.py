"""A DuckDB file apart from the lake: of a trial build, of an earlier time, without rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.sql import literal, quote
from lakefeed.transformation.dbt_adapter.runner import BuildResult, run_dbt
from lakefeed.transformation.targets.ducklake import LAKE, lake_of, opened
from lakefeed.transformation.warehouse.duckdb_file.failing_rows import (
    failing_rows_of,
    keep_failing_rows,
)
from lakefeed.transformation.warehouse.duckdb_file.open_file import writing
from lakefeed.transformation.warehouse.ducklake.public_views import stored
from lakefeed.transformation.warehouse.ducklake.records import current_version


@dataclass(frozen=True)
class LakeApart:
    """A file whose database has the name of the lake's."""

    project: Project
    path: Path

    def fill(self) -> None:
        self._copy(rows=True)

    def fill_without_rows(self) -> None:
        self._copy(rows=False)

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

    def _copy(self, *, rows: bool) -> None:
        lake = lake_of(self.project)
        with opened(lake) as session:
            version = current_version(session)
        if version is None:
            return
        with opened(lake, snapshot=version.snapshot) as session:
            relations = stored(session, LAKE)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            session.execute(f"attach {literal(str(self.path))} as apart")
            for schema in {relation.schema for relation in relations}:
                session.execute(f"create schema if not exists apart.{quote(schema)}")
            for relation in relations:
                if relation.kind == "table":
                    limit = "" if rows else " limit 0"
                    session.execute(
                        f"create table apart.{relation.quoted} as from {relation.quoted}{limit}"
                    )
            session.execute("detach apart")
        views = [relation for relation in relations if relation.kind == "view"]
        with writing(self.path) as session:
            for view in views:
                session.execute(f"use {LAKE}.{quote(view.schema)}")
                session.execute(view.sql)
