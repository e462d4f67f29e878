"""The report of a run as plain data, for the command line, Airflow's logs and JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from lakefeed.declaration.environment.variables import environment
from lakefeed.errors import (
    EXIT_OK,
    EXIT_PARTLY_FAILED,
    EXIT_UNREACHABLE,
    LakefeedError,
    SourceUnreachable,
)
from lakefeed.transformation.dbt_adapter.runner import BuildResult
from lakefeed.transformation.warehouse.base.contents import StagedTable

Status = Literal["loaded", "unchanged", "failed"]


@dataclass(frozen=True)
class TableReport:
    """How loading one table ended. Counts are rows; checkpoints are in the source's text format.

    `complete_through` is the moment at which the source was read; None for a backfill of a range.
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
    """How a run ended.

    Attributes:
        build: dbt's result; None if dbt was not started.
        held_back: lake names of the tables that failed to load; models downstream are held back.
        kept: the other models that are held back, with reasons.
        published_at: None if nothing was published.
        environment: the environment that it ran in; empty without one.
        drift: what changed in the sources since they were last read; in the warnings as well.
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
    environment: str = field(default_factory=environment)
    drift: tuple[str, ...] = ()

    @property
    def failures(self) -> list[TableReport]:
        return [table for table in self.tables if table.status == "failed"]

    @property
    def exit_code(self) -> int:
        """0 success, 1 partial failure, 2 invalid declaration, 3 no source could be reached."""
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
            "environment": self.environment or None,
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


def outcome_of(tables: Iterable[TableReport]) -> tuple[list[str], list[str], dict[str, str]]:
    """What a build plan needs to know of the loads, by lake name.

    Returns:
        The tables with new rows, the tables that failed, and the moment through which the source
        was read for each of the others.
    """
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
