"""`lakefeed prune --erase`: one key of one table, out of all that Lakefeed keeps.

Raw first, since all else is made of it: then the warehouse is built anew from what is left, and the
versions of it that were kept go. Each step can be done again, so that what died is finished by the
same command.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import EXIT_OK, LakefeedError, Refused
from lakefeed.loading.dlt_adapter.load_packages import has_pending_packages
from lakefeed.loading.locks.table_lock import table_lock
from lakefeed.loading.maintenance.erase import Versions, erase, find_versions
from lakefeed.loading.maintenance.scratch_engine import open_scratch_engine
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.row_key import Key, parse_key
from lakefeed.loading.raw.table_folders import remove_working_directory, working_directory
from lakefeed.orchestration.build.build import build_anew, refuse_stale_files
from lakefeed.orchestration.build.rollback import refuse_if_rolled_back
from lakefeed.orchestration.project.selection import table_named
from lakefeed.source.connections.connection import connect, connection_of
from lakefeed.transformation.dbt_adapter.failing_rows import forget_failing_rows
from lakefeed.transformation.dbt_adapter.runner import NodeResult
from lakefeed.transformation.warehouse.connection import warehouse_lock
from lakefeed.transformation.warehouse.publication import (
    file_set_aside,
    forget_all_versions,
    forget_damaged,
)

_ELSEWHERE = ("data/docs", "data/runs", "data/lab", "data/.duckdb", "dbt/logs", ".airflow")


@dataclass(frozen=True)
class EraseReport:
    """Where versions of the key were found; what became of the warehouse and of its copies.

    `failures` are models and tests that failed, so that the warehouse still holds the row.
    `not_looked_at` are folders of the project that may hold it.
    """

    table: str
    key: tuple[str, ...]
    found: tuple[Versions, ...]
    is_rebuilt: bool = False
    copies_removed: tuple[str, ...] = ()
    failures: tuple[NodeResult, ...] = ()
    error: LakefeedError | None = None
    not_looked_at: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        failed = 1 if self.failures else EXIT_OK
        return max(failed, self.error.exit_code if self.error else EXIT_OK)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        told = {**asdict(self), "error": str(self.error) if self.error else None}
        return {**told, "failures": [f"{node.name}: {node.told}" for node in self.failures]}


def plan_erase(project: Project, name: str, values: Sequence[str]) -> EraseReport:
    """Where raw holds versions of a key. Changes nothing; connects to no source.

    Raises:
        DeclarationError: there is no such table, or these can't be values of its key.
        Refused: raw can't tell which rows have the key.
    """
    table = table_named(project, name)
    log = CommitLog(project.raw_url, table.lake_name)
    with open_scratch_engine(project, f"look-{uuid.uuid4().hex}") as at:
        key = parse_key(at.engine, table, values)
        found = find_versions(log, key, at)
    return _found(project, table, key, found)


def erase_key(project: Project, name: str, values: Sequence[str]) -> EraseReport:
    """Erases a key from raw, dlt's working directory, the warehouse, and all copies of that.

    Side effects: replaces files of raw, removes rows that failed tests, publishes a warehouse that
    is built from nothing, removes all versions that `lakefeed rollback` could return to and those
    in `data/as_of` and `data/changed`.

    Raises:
        DeclarationError: there is no such table, or these can't be values of its key.
        Refused: the table is being loaded or has a load pending, or the warehouse is rolled back.
        SourceUnreachable: the lock that keeps loads out is in the source.
    """
    refuse_stale_files(project)
    refuse_if_rolled_back(project)
    table = table_named(project, name)
    with (
        connect(connection_of(project, table.source), "lakefeed prune") as session,
        table_lock(project, table, session),
        open_scratch_engine(project, f"erase-{table.lake_name}") as at,
    ):
        key = parse_key(at.engine, table, values)
        _refuse_pending(project, table)
        found = erase(CommitLog(project.raw_url, table.lake_name), key, at)
        remove_working_directory(project, table.lake_name)
    return _rebuilt(project, _found(project, table, key, found))


def _found(project: Project, table: Table, key: Key, found: Sequence[Versions]) -> EraseReport:
    values = tuple(part.text for part in key)
    return EraseReport(table.shown, values, tuple(found), not_looked_at=_elsewhere(project))


def _rebuilt(project: Project, report: EraseReport) -> EraseReport:
    """The warehouse from what raw holds now; where that fails, the one that is there stays."""
    with warehouse_lock(project):
        # Not by the build, which would leave the rows in blocks of the file that are free.
        forget_failing_rows(project.warehouse)
    if project.warehouse.exists():
        try:
            built = build_anew(project).build
        except LakefeedError as error:
            return replace(report, error=error)
        if built and built.failures:
            return replace(report, failures=tuple(built.failures))
    with warehouse_lock(project):
        removed = [f"the version of {at:%Y-%m-%d %H:%M:%S}" for at in forget_all_versions(project)]
        removed += _remove_copies(project)
    return replace(report, is_rebuilt=True, copies_removed=tuple(removed))


def _remove_copies(project: Project) -> Iterator[str]:
    """What `rebuild --as-of` and `build --changed-since` wrote can be written again."""
    trial = project.data / "changed"
    if trial.exists():
        shutil.rmtree(trial)
        yield "the trial build of a change"
    if file_set_aside(project):
        forget_damaged(project)
        yield "a warehouse that could not be read"
    for folder in sorted((project.data / "as_of").glob("*")):
        shutil.rmtree(folder)
        yield f"the warehouse as of {folder.name}"


def _refuse_pending(project: Project, table: Table) -> None:
    if has_pending_packages(working_directory(project, table.lake_name)):
        raise Refused(
            f"a load of {table.shown} was interrupted, and may hold the row; nothing was erased",
            where=table.where,
            do=f"have it finished first: lakefeed load --select {table.shown}",
        )


def _elsewhere(project: Project) -> tuple[str, ...]:
    """Folders that may hold rows, and aren't looked into."""
    return tuple(name for name in _ELSEWHERE if any((project.root / name).glob("*")))
