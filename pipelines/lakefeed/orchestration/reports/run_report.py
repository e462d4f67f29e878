"""What a run did, as plain data: printed by the command line, logged by Airflow, dumped as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lakefeed.errors import (
    EXIT_OK,
    EXIT_PARTLY_FAILED,
    EXIT_UNREACHABLE,
    LakefeedError,
    SourceUnreachable,
)
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.warehouse.connection import StagedTable

Status = Literal["loaded", "unchanged", "failed"]


@dataclass(frozen=True)
class TableReport:
    """How loading one table ended. Counts are rows; checkpoints are text as the source has them.

    `complete_through` is the moment at which the source was read, unless a range alone was read.
    """

    name: str
    lake_name: str
    status: Status
    rows_read: int = 0
    rows_written: int = 0
    rows_deleted: int = 0
    null_cursors: int = 0
    checkpoint_before: str | None = None
    checkpoint: str | None = None
    load_id: str | None = None
    files: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    complete_through: str | None = None
    error: LakefeedError | None = None


@dataclass(frozen=True)
class RunReport:
    """How a whole run ended. `build` is None where dbt was not started.

    `kept` are the models that stay at their last published version, and why, but for those below
    the tables of `held_back`. `published_at` is None where nothing was published.
    """

    tables: tuple[TableReport, ...]
    warnings: tuple[str, ...] = ()
    synced: tuple[str, ...] = ()
    build: BuildResult | None = None
    build_error: LakefeedError | None = None
    staged: dict[str, StagedTable] = field(default_factory=dict)
    held_back: tuple[str, ...] = ()
    seconds: float = 0.0
    kept: dict[str, str] = field(default_factory=dict)
    published_at: str | None = None

    @property
    def failures(self) -> list[TableReport]:
        return [table for table in self.tables if table.status == "failed"]

    @property
    def exit_code(self) -> int:
        """0 all well, 1 part of it failed, 2 the declaration is wrong, 3 no source was reached."""
        errors = [table.error for table in self.failures if table.error]
        if self.tables and len(errors) == len(self.tables):
            if all(isinstance(error, SourceUnreachable) for error in errors):
                return EXIT_UNREACHABLE
            return max(error.exit_code for error in errors)
        build_failed = self.build_error or (self.build and self.build.failures)
        return EXIT_PARTLY_FAILED if errors or build_failed else EXIT_OK

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        return {
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "tables": [_table_json(table) for table in self.tables],
            "warnings": list(self.warnings),
            "synced": list(self.synced),
            "held_back": list(self.held_back),
            "kept": self.kept,
            "published_at": self.published_at,
            "staged": {name: asdict(counts) for name, counts in self.staged.items()},
            "build": self.build.as_json() if self.build else None,
            "build_error": str(self.build_error) if self.build_error else None,
        }


def news_of(tables: Iterable[TableReport]) -> tuple[list[str], list[str], dict[str, str]]:
    """What loads leave to be built: which tables brought rows, which failed, and through when the
    source was read of the others."""
    tables = list(tables)
    return (
        [table.lake_name for table in tables if table.status == "loaded"],
        [table.lake_name for table in tables if table.status == "failed"],
        {t.lake_name: t.complete_through for t in tables if t.complete_through},
    )


def _table_json(table: TableReport) -> dict[str, Any]:
    error = table.error
    told = error.as_json() if error else None
    fields = {name: value for name, value in table.__dict__.items() if name != "error"}
    return {**fields, "notes": list(table.notes), "error": told}
