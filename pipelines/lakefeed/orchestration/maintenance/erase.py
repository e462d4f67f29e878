"""`lakefeed prune --erase`: erases one key of one table from everything that Lakefeed stores.

Raw comes first, since everything else derives from it. Then the warehouse is rebuilt and its
earlier versions are removed. Every step is idempotent, so running the same command again finishes
an interrupted erasure.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import EXIT_OK, LakefeedError, Refused
from lakefeed.loading.dlt_adapter.load_packages import has_pending_packages
from lakefeed.loading.locks.table_lock import table_lock
from lakefeed.loading.maintenance.builders import other_builders
from lakefeed.loading.maintenance.erase import Versions, erase, find_versions
from lakefeed.loading.maintenance.scratch_engine import open_scratch_engine
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import unfinished
from lakefeed.loading.raw.row_key import Key, parse_key
from lakefeed.loading.raw.table_folders import (
    remove_copies,
    remove_working_directory,
    working_directory,
)
from lakefeed.orchestration.build.build import build_from_scratch, refuse_stale_files
from lakefeed.orchestration.build.rollback import refuse_if_rolled_back
from lakefeed.orchestration.project.selection import table_named
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.transformation.dbt_adapter.runner import NodeResult
from lakefeed.transformation.warehouse.declared import warehouse_of

_ELSEWHERE = ("data/docs", "data/runs", "data/lab", "data/.duckdb", "dbt/logs", ".airflow")


@dataclass(frozen=True)
class EraseReport:
    """Where versions of the key were found, and what happened to the warehouse and its copies.

    Attributes:
        failures: models and tests that failed in the rebuild: the warehouse still has the row.
        not_looked_at: folders of the project that aren't searched and may contain the row.
        others: other warehouses that are built from this raw layer and have the table.
    """

    table: str
    key: tuple[str, ...]
    found: tuple[Versions, ...]
    is_rebuilt: bool = False
    copies_removed: tuple[str, ...] = ()
    failures: tuple[NodeResult, ...] = ()
    error: LakefeedError | None = None
    not_looked_at: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        failed = 1 if self.failures else EXIT_OK
        return max(failed, self.error.exit_code if self.error else EXIT_OK)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        fields = {**asdict(self), "error": str(self.error) if self.error else None}
        return {**fields, "failures": [f"{node.name}: {node.told}" for node in self.failures]}


def plan_erase(project: Project, name: str, values: Sequence[str]) -> EraseReport:
    """Finds the versions of a key in raw. Changes nothing; connects to no source.

    Raises:
        DeclarationError: there is no such table, or the values don't fit its key.
        Refused: the rows with this key can't be identified in raw.
    """
    table = table_named(project, name)
    log = CommitLog(project.raw, table.lake_name)
    with open_scratch_engine(project, f"look-{uuid.uuid4().hex}") as at:
        key = parse_key(at.engine, table, values)
        found = find_versions(log, key, at)
    return _found(project, table, key, found)


def erase_key(project: Project, name: str, values: Sequence[str]) -> EraseReport:
    """Erases a key from raw, dlt's working directory, the warehouse and all copies of it.

    Side effects: rewrites raw files, removes stored rows of failed tests, rebuilds and publishes
    the warehouse, and removes every earlier version of it as well as `data/as_of` and
    `data/changed`.

    Raises:
        DeclarationError: there is no such table, or the values don't fit its key.
        Refused: the table is being loaded or has a pending load, or the warehouse is rolled back.
        SourceUnreachable: the source, which holds the lock against concurrent loads, is
            unreachable.
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
        found = erase(CommitLog(project.raw, table.lake_name), key, at)
        remove_working_directory(project, table.lake_name)
        remove_copies(project)
    return _rebuilt(project, _found(project, table, key, found))


def _found(project: Project, table: Table, key: Key, found: Sequence[Versions]) -> EraseReport:
    values = tuple(part.text for part in key)
    others = other_builders(project, warehouse_of(project).identity())
    return EraseReport(
        table.shown,
        values,
        tuple(found),
        not_looked_at=_elsewhere(project),
        others=tuple(other.shown for other in others if table.lake_name in other.newest_loads),
    )


def _rebuilt(project: Project, report: EraseReport) -> EraseReport:
    """Rebuilds the warehouse from raw; if that fails, the published one stays."""
    warehouse = warehouse_of(project)
    with warehouse.lock():
        warehouse.forget_failing_rows()
    if warehouse.exists():
        try:
            built = build_from_scratch(project).build
        except LakefeedError as error:
            return replace(report, error=error)
        if built and built.failures:
            return replace(report, failures=tuple(built.failures))
    with warehouse.lock():
        removed = [f"the version of {at:%Y-%m-%d %H:%M:%S}" for at in warehouse.forget_versions()]
        removed += _remove_copies(project)
    return replace(report, is_rebuilt=True, copies_removed=tuple(removed))


def _remove_copies(project: Project) -> Iterator[str]:
    """Removes copies of the warehouse that a command can write again; yields what it removed."""
    trial = project.data / "changed"
    if trial.exists():
        shutil.rmtree(trial)
        yield "the trial build of a change"
    warehouse = warehouse_of(project)
    yield from warehouse.forget_apart()
    if warehouse.set_aside():
        warehouse.forget_set_aside()
        yield "the unreadable warehouse that was set aside"
    for folder in sorted((project.data / "as_of").glob("*")):
        shutil.rmtree(folder)
        yield f"the warehouse as of {folder.name}"


def _refuse_pending(project: Project, table: Table) -> None:
    if has_pending_packages(working_directory(project, table.lake_name)):
        raise Refused(
            f"an interrupted load of {table.shown} may contain the row; nothing was erased",
            where=table.where,
            do=f"finish the load first: lakefeed load --select {table.shown}",
        )
    if unfinished(CommitLog(project.raw, table.lake_name).loads()):
        raise Refused(
            f"the first load of {table.shown} is incomplete and may still bring the row; nothing "
            "was erased",
            where=table.where,
            do=f"finish the load first: lakefeed load --select {table.shown}",
        )


def _elsewhere(project: Project) -> tuple[str, ...]:
    """Folders that may contain rows but aren't searched."""
    return tuple(name for name in _ELSEWHERE if any((project.root / name).glob("*")))
