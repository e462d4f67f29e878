"""`lakefeed prune`: plans, reports and removes data that is no longer needed.

In raw: superseded loads, row versions past retention, old dlt state and files of interrupted
writers; small files are compacted. On request, orphaned tables as well. Staging is unaffected.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import EXIT_OK, BuildFailed, LakefeedError
from lakefeed.loading.locks.table_lock import folder_lock
from lakefeed.loading.maintenance.builders import other_builders
from lakefeed.loading.maintenance.prune import Pruning, plan_pruning, prune_raw
from lakefeed.loading.maintenance.scratch_engine import open_scratch_engine
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import superseded
from lakefeed.loading.raw.table_folders import raw_folders
from lakefeed.orchestration.build.build import build_and_publish, refuse_stale_files
from lakefeed.orchestration.build.build_plan import plan_build
from lakefeed.orchestration.build.rollback import refuse_if_rolled_back
from lakefeed.orchestration.maintenance.orphaned_tables import (
    OrphanedTables,
    find_undeclared,
    is_selected,
    remove_undeclared,
)
from lakefeed.orchestration.maintenance.still_needed import Others, rules_of, why_superseded_stay
from lakefeed.orchestration.project.selection import select_tables
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.source.connections.watched_session import WatchedSession
from lakefeed.transformation.generate.history_models import keeps_history
from lakefeed.transformation.warehouse.declared import warehouse_of
from lakefeed.transformation.warehouse.orphaned_relations import drop_orphaned

_APPLICATION = "lakefeed prune"
_LATER = "raw is already pruned; to prune the history in the warehouse as well: lakefeed run"


@dataclass(frozen=True)
class TablePruning:
    """What is removed from a declared table's raw folder.

    Attributes:
        loads: superseded loads to remove.
        rows: the rows of these loads.
        files: files to remove.
        size: the size of these files in bytes.
        versions: row versions to remove because they were replaced before the retention.
        compacted: small files to merge.
        compacted_into: the files they are merged into.
        mended: files to rewrite without the rows of loads that are gone.
        kept_because: why superseded loads are kept.
        error: why nothing could be done.
    """

    name: str
    lake_name: str
    loads: int
    rows: int
    files: int
    size: int
    versions: int = 0
    compacted: int = 0
    compacted_into: int = 0
    mended: int = 0
    kept_because: str = ""
    error: str = ""

    @property
    def has_work(self) -> bool:
        return bool(self.files or self.versions or self.compacted or self.mended)


@dataclass(frozen=True)
class PruneRequest:
    """Which tables to prune, and whether to remove orphaned tables as well."""

    select: tuple[str, ...] = ()
    undeclared: bool = False


@dataclass(frozen=True)
class PruneReport:
    """What a prune removes or removed; `others` are folders in raw that aren't Lakefeed's."""

    tables: tuple[TablePruning, ...]
    undeclared: tuple[OrphanedTables, ...]
    others: tuple[str, ...]
    errors: tuple[LakefeedError, ...] = ()

    @property
    def exit_code(self) -> int:
        return max([EXIT_OK, *(error.exit_code for error in self.errors)])

    @property
    def removable(self) -> tuple[OrphanedTables, ...]:
        """The orphaned tables that are certainly no longer declared."""
        return tuple(table for table in self.undeclared if not table.kept_because)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        fields = asdict(replace(self, errors=()))
        return {**fields, "errors": [str(error) for error in self.errors]}


def plan_prune(project: Project, request: PruneRequest) -> PruneReport:
    """Plans what a prune would remove. Reads raw and the warehouse; connects to no source.

    Raises:
        DeclarationError: a selector matches nothing.
        BuildFailed: the generated models are out of date.
    """
    refuse_stale_files(project)
    folders = raw_folders(project)
    others = other_builders(project, warehouse_of(project).identity())
    undeclared = find_undeclared(project, folders, others, request.select)
    named = {table.lake_name for table in undeclared}
    rest = [s for s in request.select if not any(is_selected(name, [s]) for name in named)]
    tables = select_tables(project, rest) if rest or not request.select else ()
    planned = tuple(_planned(project, table, others) for table in tables)
    return PruneReport(planned, undeclared, folders.others)


def prune(project: Project, request: PruneRequest, plan: PruneReport) -> PruneReport:
    """Removes what was planned, if it is still not needed, and reports what was removed.

    Each raw folder is pruned under its table's lock, and all of them under the warehouse's lock, so
    that no build reads what is removed. A table that can't be pruned is reported and doesn't stop
    the others.

    Side effects: removes and rewrites files in raw; rebuilds and publishes histories that lost
    versions. With `undeclared`, also removes the folders and working directories of orphaned
    tables, and publishes the warehouse without their relations.

    Raises:
        Refused: another run is building, or, with `undeclared`, the warehouse is rolled back.
        BuildFailed: another program has the warehouse open for writing.
    """
    if request.undeclared:
        refuse_if_rolled_back(project)
    tables, errors, warehouse = [], [], warehouse_of(project)
    with ExitStack() as stack:
        sessions, others = _Sessions(project, stack), other_builders(project, warehouse.identity())
        with warehouse.lock(), warehouse.published.open():
            for planned in plan.tables:
                try:
                    tables.append(_pruned(project, planned, others, sessions))
                except LakefeedError as error:
                    errors.append(error)
                    tables.append(replace(planned, error=str(error)))
            if request.undeclared:
                remove_undeclared(project, plan.removable, sessions.lock)
        dropped = [relation for table in plan.removable for relation in table.relations]
        if request.undeclared and dropped:
            drop_orphaned(project, dropped)
    errors += _rebuild_histories(project, tables)
    warehouse.remove_unneeded()
    return replace(plan, tables=tuple(tables), errors=tuple(errors))


def _rebuild_histories(project: Project, tables: Sequence[TablePruning]) -> list[LakefeedError]:
    """Builds the histories that lost versions and their descendants; the next run retries."""
    pruned = {table.lake_name for table in tables if table.versions or table.loads}
    changed = [table for table in project.tables if table.lake_name in pruned]
    behind = [table.lake_name for table in changed if keeps_history(table)]
    plan = plan_build(project, behind, ()) if behind and warehouse_of(project).exists() else None
    if plan is None:
        return []
    try:
        refuse_if_rolled_back(project)
        report = build_and_publish(project, plan, RunReport(()))
    except LakefeedError as error:
        return [error]
    failed = report.build.failures if report.build else ()
    errors = [BuildFailed(f"{node.name}: {node.told}", do=_LATER) for node in failed]
    return [*errors, *([report.build_error] if report.build_error else [])]


class _Sessions:
    """Sessions on the sources whose tables are locked, opened on demand."""

    def __init__(self, project: Project, stack: ExitStack) -> None:
        self._project = project
        self._stack = stack
        self._open: dict[str, WatchedSession] = {}

    @contextmanager
    def lock(self, lake_name: str) -> Iterator[None]:
        """Locks a raw folder. If its source is gone, the lock holds on this machine only."""
        sources = self._project.declaration.sources
        source = next((name for name in sources if lake_name.startswith(f"{name}__")), None)
        session = self._of(source) if source else None
        table = next((t for t in self._project.tables if t.lake_name == lake_name), None)
        with folder_lock(self._project, lake_name, session, where=table.where if table else ""):
            yield

    def _of(self, source: str) -> WatchedSession:
        if source not in self._open:
            connection = connection_of(self._project, source)
            opened = self._stack.enter_context(connect(connection, _APPLICATION))
            self._open[source] = opened
        return self._open[source]


def _planned(project: Project, table: Table, others: Others) -> TablePruning:
    log = CommitLog(project.raw, table.lake_name)
    with open_scratch_engine(project, f"look-{uuid.uuid4().hex}") as at:
        pruning = plan_pruning(log, at, rules_of(project, table, others))
        return _table_pruning(project, table, pruning, others)


def _pruned(
    project: Project, planned: TablePruning, others: Others, sessions: _Sessions
) -> TablePruning:
    """Prunes a table. Plans again under the lock, since a load may have committed in between."""
    if not planned.has_work:
        return planned
    table = project.table(planned.lake_name)
    log = CommitLog(project.raw, table.lake_name)
    with (
        sessions.lock(planned.lake_name),
        open_scratch_engine(project, f"prune-{table.lake_name}") as at,
    ):
        pruning = plan_pruning(log, at, rules_of(project, table, others))
        prune_raw(log, pruning, at)
        return _table_pruning(project, table, pruning, others)


def _table_pruning(
    project: Project, table: Table, pruning: Pruning, others: Others
) -> TablePruning:
    removal, why = pruning.removal, ""
    if not removal.loads and superseded(CommitLog(project.raw, table.lake_name).loads()):
        why = why_superseded_stay(project, table, others)
    return TablePruning(
        table.shown,
        table.lake_name,
        loads=len(removal.loads),
        rows=removal.rows,
        files=len(removal.files),
        size=removal.size,
        versions=pruning.replaced.rows,
        compacted=sum(map(len, pruning.compacted)),
        compacted_into=len(pruning.compacted),
        mended=len(pruning.mended),
        kept_because=why,
    )
