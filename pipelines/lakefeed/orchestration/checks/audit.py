"""`lakefeed audit`: compares staging with the source, leaving out what the next load brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED, LakefeedError, TableFailed
from lakefeed.loading.error_translation import explain_failure
from lakefeed.loading.extract.completeness import pending_condition
from lakefeed.loading.extract.rewrite_detection import refuse_rewritten
from lakefeed.loading.extract.window import changes_since_newest, detached_by
from lakefeed.loading.log.held_slot import held_slot
from lakefeed.loading.log.run_log import RunLog, run_log
from lakefeed.loading.log.unread import take_unread
from lakefeed.loading.plan.column_check import hash_keys
from lakefeed.loading.plan.table_plan import Range, TablePlan
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.reconcile import (
    Comparison,
    Finding,
    Kind,
    columns_of,
    compare_with_staging,
)
from lakefeed.loading.sessions.duckdb_engine import Engines, spill_folder
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.project.catalogue_sync import LiveSource, read_live
from lakefeed.orchestration.project.selection import select_active
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.orchestration.run import run
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.snapshot import open_snapshot
from lakefeed.transformation.generate.staged_columns import as_in_raw
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.warehouse.declared import warehouse_of

_CAUSES: dict[Kind, str] = {
    "missing": "committed after the lookback had passed, or written with an old `{cursor}`",
    "differing": "updated without a new `{cursor}`",
    "extra": "deleted in the source; `deletes: remove` removes such rows from staging",
}
_CAUSES_WITHOUT_KEY: dict[Kind, str] = {
    "missing": "committed after the lookback had passed, or changed since they were loaded, as by "
    "a column that was added later",
    "extra": "deleted or changed in the source since they were loaded; `mode: append` keeps every "
    "row, and only a full refresh replaces them",
}
_CAUSES_BY_LOG: dict[Kind, str] = {
    "missing": "written while the publication left the table or its inserts out",
    "differing": "updated while the publication left the table or its updates out",
    "extra": "deleted while the publication left the table or its deletes out",
}


@dataclass(frozen=True)
class TableAudit:
    """The result for one table; `error` if it could not be compared. `kept` counts the rows of
    detached partitions that staging keeps."""

    name: str
    rows: int = 0
    pending: int = 0
    findings: tuple[Finding, ...] = ()
    ranges: tuple[Range, ...] = ()
    kept: int = 0
    error: LakefeedError | None = None

    @property
    def is_clean(self) -> bool:
        return not self.findings and self.error is None


@dataclass(frozen=True)
class _Opened:
    """A source at one snapshot, its tables there, and its log if a table is read by it."""

    source: SourceAtSnapshot
    live: LiveSource
    log: RunLog | None


@dataclass(frozen=True)
class AuditReport:
    """The results for all audited tables."""

    tables: tuple[TableAudit, ...]

    @property
    def exit_code(self) -> int:
        clean = all(table.is_clean for table in self.tables)
        return EXIT_OK if clean else EXIT_PARTLY_FAILED


def audit(
    project: Project, select: Sequence[str], say: Callable[[str], None] = lambda _: None
) -> AuditReport:
    """Compares the selected tables with their staging models, each source at one snapshot.

    Reads whole tables from the source, and the log up to that snapshot; changes nothing.

    Args:
        say: called with a message if it has to wait for a run that reads the log.

    Raises:
        DeclarationError: a selector matches nothing.
    """
    selected = select_active(project, select)
    audits: list[TableAudit] = []
    for source in project.declaration.sources:
        tables = [table for table in selected if table.source == source]
        if tables:
            audits += _audit_source(project, source, tables, say)
    return AuditReport(tuple(audits))


def repair(project: Project, report: AuditReport) -> list[RunReport]:
    """Reloads the ranges with missing or differing rows and builds the models downstream."""
    return [
        run(project, LoadRequest((table.name,), since=str(part.since), until=str(part.until)))
        for table in report.tables
        for part in table.ranges
    ]


def likely_cause(finding: Finding, table: Table) -> str:
    """The most likely cause of a finding."""
    if table.appends:
        return _CAUSES_WITHOUT_KEY[finding.kind]
    if table.reads_log:
        return _CAUSES_BY_LOG[finding.kind]
    cursor = table.settings.cursor
    return _CAUSES[finding.kind].format(cursor=cursor.name if cursor else "-")


def _audit_source(
    project: Project, source: str, tables: list[Table], say: Callable[[str], None]
) -> Iterator[TableAudit]:
    try:
        with _opened(project, source, tables, say) as opened:
            for table in tables:
                yield _audit_table(project, table, opened)
    except LakefeedError as error:
        yield from (TableAudit(table.shown, error=error) for table in tables)


@contextmanager
def at_one_snapshot(project: Project, source: str) -> Iterator[tuple[SourceAtSnapshot, LiveSource]]:
    """Opens a source at one snapshot, for reading tables in turn, and inspects its tables.

    Raises:
        SourceUnreachable, DeclarationError: there is no connection.
    """
    connection = connection_of(project, source)
    with open_snapshot(connection) as (snapshot, session):
        live = read_live(session, project, source)
        with closing(Engines(spill_folder(project), at_most=1, raw=project.raw)) as engines:
            yield SourceAtSnapshot(connection, snapshot, session, engines), live


@contextmanager
def _opened(
    project: Project, source: str, tables: list[Table], say: Callable[[str], None]
) -> Iterator[_Opened]:
    """Opens a source with its log, which is read from its slot up to the snapshot, as by a run."""
    by_log = [table for table in tables if table.reads_log]
    with ExitStack() as stack:
        slot = None
        if by_log:
            names = [table.lake_name for table in by_log]
            held = held_slot(project, connection_of(project, source), say, names)
            slot = stack.enter_context(held)
        at_snapshot, live = stack.enter_context(at_one_snapshot(project, source))
        log = None
        if slot:
            plans = list(_plans(project, by_log, live))
            spill = spill_folder(project)
            opened = run_log(slot, at_snapshot.snapshot, plans, spill, has_all=True)
            log = stack.enter_context(opened)
        yield _Opened(at_snapshot, live, log)


def _plans(project: Project, tables: list[Table], live: LiveSource) -> Iterator[TablePlan]:
    """The plans of those tables that can be read; the others fail by themselves."""
    for table in tables:
        with suppress(LakefeedError):
            yield live.plan(table, hash_keys(project, table))


def _audit_table(project: Project, table: Table, opened: _Opened) -> TableAudit:
    source = opened.source
    try:
        found = _compare(project, table, opened)
    except LakefeedError as error:
        return TableAudit(table.shown, error=error)
    except Exception as error:  # noqa: BLE001 - one bad table must not stop its siblings
        return TableAudit(table.shown, error=explain_failure(table, source.connection, error))
    return TableAudit(
        name=table.shown,
        rows=found.rows,
        pending=found.pending,
        findings=found.findings,
        ranges=found.ranges,
        kept=found.kept,
    )


def _compare(project: Project, table: Table, opened: _Opened) -> Comparison:
    source = opened.source
    plan = opened.live.plan(table, hash_keys(project, table))
    with source.session(plan) as session:
        staged = attach_staging(session, project, table)
        _refuse_new_columns(session, plan, staged)
        effective = CommitLog(project.raw, table.lake_name).effective_loads()
        pending = pending_condition(session, plan, effective, source.snapshot)
        detached = detached_by(plan, changes_since_newest(plan, effective))
        unread = None
        if opened.log and table.reads_log and pending is not None:
            changes = opened.log.unread_of(plan, effective)
            unread = take_unread(session, plan, changes, source.snapshot)
        found = compare_with_staging(session, plan, staged, pending, detached, unread=unread)
        refuse_rewritten(session, plan)
        return found


def _refuse_new_columns(session: SourceSession, plan: TablePlan, staged: str) -> None:
    known = {name.lower() for name in columns_of(session, staged)}
    new = [f"`{column.name}`" for column in plan.columns if column.name.lower() not in known]
    if new:
        shown = plan.table.shown
        raise TableFailed(
            f"{shown}: no load has brought {', '.join(new)} to staging yet",
            where=plan.table.where,
            do=f"run it, then audit it: lakefeed run --select {shown}",
        )


def attach_staging(session: SourceSession, project: Project, table: Table) -> str:
    """Attaches the warehouse to this session and returns the staging model as a from-clause item
    with raw's names of columns.

    Raises:
        TableFailed: the table has no generated staging model, or it isn't built yet.
    """
    model, warehouse = staging_model_name(table), warehouse_of(project)
    if model not in warehouse.published.generated_models():
        raise TableFailed(
            f"{table.shown} has no generated staging model in the warehouse",
            where=table.where,
            do=f"load and build it first: lakefeed run --select {table.shown} (a hand-written "
            "staging model can't be audited)",
        )
    return as_in_raw(table, warehouse.attach(session, model))
