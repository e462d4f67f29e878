"""`lakefeed audit`: compares staging with the source, leaving out what the next load brings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED, LakefeedError, TableFailed
from lakefeed.loading.error_translation import explain_failure
from lakefeed.loading.extract.completeness import pending_condition
from lakefeed.loading.extract.rewrite_detection import refuse_rewritten
from lakefeed.loading.extract.window import changes_since_newest, detached_by
from lakefeed.loading.plan.column_check import hash_keys
from lakefeed.loading.plan.table_plan import Range
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.reconcile import (
    Comparison,
    Finding,
    Kind,
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
    "extra": "deleted after the newest load, which the next one brings, or while the publication "
    "left the table or its deletes out",
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
class AuditReport:
    """The results for all audited tables."""

    tables: tuple[TableAudit, ...]

    @property
    def exit_code(self) -> int:
        clean = all(table.is_clean for table in self.tables)
        return EXIT_OK if clean else EXIT_PARTLY_FAILED


def audit(project: Project, select: Sequence[str]) -> AuditReport:
    """Compares the selected tables with their staging models, each source at one snapshot.

    Reads whole tables from the source; changes nothing.

    Raises:
        DeclarationError: a selector matches nothing.
    """
    selected = select_active(project, select)
    audits: list[TableAudit] = []
    for source in project.declaration.sources:
        tables = [table for table in selected if table.source == source]
        if tables:
            audits += _audit_source(project, source, tables)
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


def _audit_source(project: Project, source: str, tables: list[Table]) -> Iterator[TableAudit]:
    try:
        with at_one_snapshot(project, source) as (at_snapshot, live):
            for table in tables:
                yield _audit_table(project, table, at_snapshot, live)
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


def _audit_table(
    project: Project, table: Table, source: SourceAtSnapshot, live: LiveSource
) -> TableAudit:
    try:
        found = _compare(project, table, source, live)
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


def _compare(
    project: Project, table: Table, source: SourceAtSnapshot, live: LiveSource
) -> Comparison:
    keys = hash_keys(project, table)
    plan = live.plan(table, keys)
    with source.session(plan) as session:
        staged = attach_staging(session, project, table)
        effective = CommitLog(project.raw, table.lake_name).effective_loads()
        pending = pending_condition(session, plan, effective, source.snapshot)
        detached = detached_by(plan, changes_since_newest(plan, effective))
        found = compare_with_staging(session, plan, staged, pending, detached)
        refuse_rewritten(session, plan)
        return found


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
