"""`lakefeed audit`: is staging what the source holds, but for what the next load will bring?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED, LakefeedError, TableFailed
from lakefeed.loading.error_translation import explain_failure
from lakefeed.loading.extract.extraction import next_condition
from lakefeed.loading.extract.rewrite_detection import refuse_rewritten
from lakefeed.loading.plan.table_plan import Range, plan_table
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.reconcile import (
    Comparison,
    Finding,
    Kind,
    attach_warehouse,
    compare_with_staging,
)
from lakefeed.loading.sessions.duckdb_engine import Engines, spill_folder
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.orchestration.ingest.load import LoadRequest
from lakefeed.orchestration.project.catalogue_sync import LiveSource, read_live
from lakefeed.orchestration.project.selection import select_tables
from lakefeed.orchestration.reports.run_report import RunReport
from lakefeed.orchestration.run import run
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.snapshot import open_snapshot
from lakefeed.transformation.generate.staging_models import staging_model_name
from lakefeed.transformation.warehouse.connection import generated_models

_CAUSES: dict[Kind, str] = {
    "missing": "committed later than the lookback covers, or written with an old `{cursor}`",
    "differing": "changed without moving `{cursor}`",
    "extra": "deleted in the source; `deletes: remove` takes such rows out of staging",
}


@dataclass(frozen=True)
class TableAudit:
    """How one table compares; `error` where it could not be compared."""

    name: str
    rows: int = 0
    pending: int = 0
    findings: tuple[Finding, ...] = ()
    ranges: tuple[Range, ...] = ()
    error: LakefeedError | None = None

    @property
    def is_clean(self) -> bool:
        return not self.findings and self.error is None


@dataclass(frozen=True)
class AuditReport:
    """All tables that were compared."""

    tables: tuple[TableAudit, ...]

    @property
    def exit_code(self) -> int:
        clean = all(table.is_clean for table in self.tables)
        return EXIT_OK if clean else EXIT_PARTLY_FAILED


def audit(project: Project, select: Sequence[str]) -> AuditReport:
    """Compares the selected tables with their staging models, each source at one snapshot.

    Reads whole tables from the source; changes nothing.

    Raises:
        DeclarationError: a selector names nothing.
    """
    selected = select_tables(project, select)
    audits: list[TableAudit] = []
    for source in project.declaration.sources:
        tables = [table for table in selected if table.source == source]
        if tables:
            audits += _audit_source(project, source, tables)
    return AuditReport(tuple(audits))


def repair(project: Project, report: AuditReport) -> list[RunReport]:
    """Loads the ranges again in which rows are missing or differ, and builds on them."""
    return [
        run(project, LoadRequest((table.name,), since=str(part.since), until=str(part.until)))
        for table in report.tables
        for part in table.ranges
    ]


def likely_cause(finding: Finding, cursor: str) -> str:
    """What most often leads to such a finding."""
    return _CAUSES[finding.kind].format(cursor=cursor)


def _audit_source(project: Project, source: str, tables: list[Table]) -> Iterator[TableAudit]:
    try:
        with at_one_snapshot(project, source) as (at_snapshot, live):
            for table in tables:
                yield _audited(project, table, at_snapshot, live)
    except LakefeedError as error:
        yield from (TableAudit(table.shown, error=error) for table in tables)


@contextmanager
def at_one_snapshot(project: Project, source: str) -> Iterator[tuple[SourceAtSnapshot, LiveSource]]:
    """A source at one snapshot, for tables to be read one after the other, and what they are now.

    Raises:
        SourceUnreachable, DeclarationError: there is no connection.
    """
    connection = connection_of(project, source)
    with open_snapshot(connection) as (snapshot, session):
        live = read_live(session, project, source)
        with closing(Engines(spill_folder(project), at_most=1)) as engines:
            yield SourceAtSnapshot(connection, snapshot, session, engines), live


def _audited(
    project: Project, table: Table, source: SourceAtSnapshot, live: LiveSource
) -> TableAudit:
    try:
        found = _compared(project, table, source, live)
    except LakefeedError as error:
        return TableAudit(table.shown, error=error)
    except Exception as error:  # noqa: BLE001 - one bad table must not stop its siblings
        return TableAudit(table.shown, error=explain_failure(table, source.connection, error))
    return TableAudit(table.shown, found.rows, found.pending, found.findings, found.ranges)


def _compared(
    project: Project, table: Table, source: SourceAtSnapshot, live: LiveSource
) -> Comparison:
    plan = plan_table(table, live.tables.get(table.qualified))
    with source.session(plan) as session:
        staged = attach_staging(session, project, table)
        effective = CommitLog(project.raw_url, table.lake_name).effective_loads()
        pending = next_condition(plan, effective, source.snapshot)
        found = compare_with_staging(session, plan, staged, pending)
        refuse_rewritten(session, plan)
        return found


def attach_staging(session: SourceSession, project: Project, table: Table) -> str:
    """The staging model of a table, as a from-clause item of this session.

    Raises:
        TableFailed: it was not built yet, or isn't ours.
    """
    model = staging_model_name(table)
    if model not in generated_models(project):
        raise TableFailed(
            f"{table.shown} has no staging model of ours in the warehouse",
            where=table.where,
            do=f"load and build it first: lakefeed run --select {table.shown}",
        )
    return attach_warehouse(session, project.warehouse, model)
