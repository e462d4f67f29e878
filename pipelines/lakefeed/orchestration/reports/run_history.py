"""The run history that `lakefeed docs` shows: one small document for each run.

    data/runs/20261125T014540.123456Z.json           probed or loaded, without building
    data/runs/20261125T020000.654321Z-built.json     built models and ran tests as well

The 500 newest of each kind are kept, so that many runs without new rows don't displace the test
results.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lakefeed.documents import Format
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.textfile import replace_text
from lakefeed.transformation.dbt_adapter.runner import NodeResult

MOST_RUNS = 500

_NAME = "%Y%m%dT%H%M%S.%fZ"
_BUILT = "-built"


@dataclass(frozen=True)
class TableOutcome:
    """How loading one table ended."""

    name: str
    status: str
    rows: int = 0
    deleted: int = 0
    seconds: float = 0.0
    load_id: str | None = None
    notes: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class KeptRun:
    """A recorded run: its command, when it started (UTC), and its outcome.

    Attributes:
        nodes: dbt's results, without messages for those that passed; None if dbt wasn't started.
        error: why it could not build at all.
        environment: the environment that it ran in; empty without one.
    """

    command: str
    started_at: dt.datetime
    seconds: float
    exit_code: int
    tables: tuple[TableOutcome, ...] = ()
    nodes: tuple[NodeResult, ...] | None = None
    warnings: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    published_at: str | None = None
    error: str | None = None
    environment: str = ""

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    @classmethod
    def of(cls, command: str, started: dt.datetime, report: RunReport) -> KeptRun:
        """The record of a report."""
        return cls(
            command=command,
            started_at=started,
            seconds=round(report.seconds, 3),
            exit_code=report.exit_code,
            tables=tuple(map(_table_outcome, report.tables)),
            nodes=tuple(map(_in_short, report.build.nodes)) if report.build else None,
            warnings=report.warnings,
            kept=report.kept,
            published_at=report.published_at,
            error=str(report.build_error) if report.build_error else None,
            environment=report.environment,
        )


RUN = Format(KeptRun, "run record", "1.1", brief=True)


def keep_run(data: Path, command: str, started: dt.datetime, report: RunReport) -> RunReport:
    """Records a run below this data folder and removes the oldest records.

    Returns:
        The report, with a warning added if it could not be recorded: that doesn't fail the run.
    """
    folder, started = _folder(data), started.astimezone(dt.UTC)
    built = _BUILT if report.build else ""
    run = KeptRun.of(command, started, report)
    try:
        path = folder / f"{started.strftime(_NAME)}{built}.json"
        replace_text(path, RUN.text(run), durable=False)
        for old in _too_old(folder):
            old.unlink(missing_ok=True)
    except OSError as error:
        warning = f"this run is missing from `lakefeed docs`: it could not be recorded: {error}"
        return replace(report, warnings=(*report.warnings, warning))
    return report


def read_runs(data: Path) -> tuple[KeptRun, ...]:
    """The recorded runs, oldest first. Unreadable records are skipped.

    Raises:
        NewerFormat: a newer version of Lakefeed recorded one of them.
    """
    return tuple(_readable(sorted(_folder(data).glob("*.json"))))


def _readable(paths: list[Path]) -> Iterator[KeptRun]:
    for path in paths:
        try:
            yield RUN.read(path.read_text(encoding="utf-8"), str(path))
        except (OSError, ValueError):
            # Another run has just removed it, or it is truncated.
            continue


def _too_old(folder: Path) -> Iterator[Path]:
    names = sorted(path.name for path in folder.glob("*.json"))
    for has_built in (False, True):
        of_a_kind = [name for name in names if name.endswith(f"{_BUILT}.json") == has_built]
        yield from (folder / name for name in of_a_kind[:-MOST_RUNS])


def _folder(data: Path) -> Path:
    return data / "runs"


def _table_outcome(table: TableReport) -> TableOutcome:
    return TableOutcome(
        name=table.name,
        status=table.status,
        rows=table.rows_written,
        deleted=table.rows_deleted,
        seconds=round(table.seconds, 3),
        load_id=table.load_id,
        notes=table.notes,
        error=str(table.error) if table.error else None,
    )


def _in_short(node: NodeResult) -> NodeResult:
    return replace(
        node,
        seconds=round(node.seconds, 3),
        message=node.message if node.failed or node.status == "warn" else "",
        selectors=(),
        stored_in=node.stored_in if node.has_failing_rows else (),
    )
