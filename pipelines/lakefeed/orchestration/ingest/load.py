"""Loads the selected tables: one snapshot for each source, failures isolated by table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.tables import Table
from lakefeed.errors import LakefeedError
from lakefeed.loading.dlt_adapter.environment import prepare_dlt
from lakefeed.loading.error_translation import explain_failure
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.plan.backfill import parse_range, range_of_table
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.probe import probe_table
from lakefeed.loading.sessions.duckdb_engine import CONCURRENT_READS, Engines, spill_folder
from lakefeed.loading.sessions.retryable import RetryAtLaterSnapshot
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.loading.standby import RecoveryConflict, Standby, is_standby, load_beside_recovery
from lakefeed.orchestration.ingest.frozen_tables import without_changes_of_frozen
from lakefeed.orchestration.ingest.live_tables import LiveTables
from lakefeed.orchestration.project.catalogue_sync import (
    LiveSource,
    adopt,
    lost_wildcard_error,
    read_live,
    with_live_tables,
)
from lakefeed.orchestration.project.selection import select_tables
from lakefeed.orchestration.reports.listener import Listener, Silence
from lakefeed.orchestration.reports.run_report import RunReport, TableReport
from lakefeed.source.connections.connection import Connection, connection_of
from lakefeed.source.connections.failure import ConnectionLost, EndedByStandby
from lakefeed.source.snapshot import open_snapshot

# How often to retry when a standby cancels the short queries on its system catalogue.
_MOST_TIMES_ENDED = 3


@dataclass(frozen=True)
class LoadRequest:
    """Which tables to load, and how. `since` and `until` bound a backfill, as typed."""

    select: tuple[str, ...] = ()
    full_refresh: bool = False
    since: str | None = None
    until: str | None = None
    allow_shrink: bool = False

    def covers(self, table: Table) -> bool:
        """Whether it loads this table without `--select`: a backfill needs a cursor."""
        return bool(table.cursor) or not self.since

    def options_for(self, plan: TablePlan) -> LoadOptions:
        """The options of one table's load.

        Raises:
            DeclarationError: the range isn't one of the table's cursor.
        """
        backfill = range_of_table(plan, parse_range(self.since, self.until))
        return LoadOptions(self.full_refresh, backfill, self.allow_shrink)


def load(
    project: Project, request: LoadRequest, listener: Listener | None = None
) -> tuple[Project, RunReport]:
    """Loads the selected tables into raw and returns the project with its updated catalogue.

    Side effects: writes raw files, dlt state, the catalogue and the generated models.

    Raises:
        DeclarationError: a selector or the range is invalid, or a range is combined with a full
            refresh.
    """
    started = time.monotonic()
    selected = select_tables(project, request.select)
    parse_range(request.since, request.until, full_refresh=request.full_refresh)
    listener = listener or Silence()
    prepare_dlt(project)
    reports: list[TableReport] = []
    warnings: list[str] = []
    live: dict[str, LiveSource] = {}
    for source in project.declaration.sources:
        wanted = [table for table in selected if table.source == source]
        if wanted or not request.select:
            run = _SourceRun(project, source, request, listener)
            reports += run.load(wanted)
            warnings += run.warnings
            if run.live:
                live[source] = run.live
    project, synced = adopt(project, live, selected if request.select else None)
    seconds = time.monotonic() - started
    drift = [line for found in live.values() for line in found.drift]
    report = RunReport(tuple(reports), tuple(warnings + drift), tuple(synced), seconds=seconds)
    return project, report


class _SourceRun:
    """Loads the tables of one source at one snapshot.

    A second pass, at a later snapshot, reads the tables that the first snapshot couldn't serve.
    """

    def __init__(
        self, project: Project, source: str, request: LoadRequest, listener: Listener
    ) -> None:
        self.project = project
        self.source = source
        self.request = request
        self.listener = listener
        self.live: LiveSource | None = None
        self._now: LiveTables | None = None
        self._again: dict[str, RetryAtLaterSnapshot] = {}
        self._is_second_pass = False
        self._standby: Standby | None = None
        # Turned off once a standby has cancelled the session that held the snapshot: it would again
        # (https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT).
        self._holds_snapshot = True
        self._times_ended = 0
        self.warnings: list[str] = []

    def load(self, wanted: Sequence[Table]) -> list[TableReport]:
        reports = self._pass(wanted)
        reports += self._lost_wildcards()
        if not self._again:
            return reports
        self._is_second_pass = True
        self._holds_snapshot &= not any(
            isinstance(e, RecoveryConflict) for e in self._again.values()
        )
        assert self._now is not None
        tables = [table for table in self._now.of_source() if table.lake_name in self._again]
        again = {report.lake_name: report for report in self._pass(tables)}
        return [again.get(report.lake_name, report) for report in reports]

    def _pass(self, wanted: Sequence[Table]) -> list[TableReport]:
        try:
            return self._at_one_snapshot(connection_of(self.project, self.source), wanted)
        except LakefeedError as error:
            if self._was_ended_by_standby(error):
                return self._pass(wanted)
            return [self._failed(table, error) for table in wanted]

    def _was_ended_by_standby(self, error: LakefeedError) -> bool:
        """Whether to retry, without holding a snapshot, after a standby ended the session."""
        may_be = isinstance(error, ConnectionLost | EndedByStandby)
        if not may_be or self._times_ended == _MOST_TIMES_ENDED:
            return False
        self._times_ended += 1
        self._holds_snapshot = False
        return is_standby(connection_of(self.project, self.source))

    def _at_one_snapshot(
        self, connection: Connection, wanted: Sequence[Table]
    ) -> list[TableReport]:
        opened = open_snapshot(connection, self._warn, holds=self._holds_snapshot)
        with opened as (snapshot, session):
            if snapshot.conflicts is not None:
                self._standby = Standby(connection, snapshot.conflicts)
            self.warnings += [f"{self.source}: {line}" for line in snapshot.horizon.warnings]
            self.live = self._live_at(session, wanted)
            self._now = LiveTables(self.project, self.source, self.live)
            tables = self._tables_to_load(self._now, wanted)
            at_most = max([CONCURRENT_READS, *(table.settings.parallel or 0 for table in tables)])
            pool = Engines(spill_folder(self.project), at_most, in_one_thread=True)
            with closing(pool) as engines:
                source = SourceAtSnapshot(connection, snapshot, session, engines)
                reports = self._load_concurrently(tables, source)
            self.live = without_changes_of_frozen(self.project, self.live, tables)
            self.warnings += source.warnings
            self.warnings = list(dict.fromkeys(self.warnings))
            return reports

    def _warn(self, message: str) -> None:
        """Also shows the warning at once: nothing else is visible while the run waits."""
        self.warnings.append(f"{self.source}: {message}")
        self.listener.waiting(self.warnings[-1])

    def _lost_wildcards(self) -> list[TableReport]:
        """Failures of wildcards that lost all their tables: there is no table left to fail."""
        if self.request.select or self.live is None:
            return []
        failed = []
        for entry in self.live.lost_wildcards:
            error = lost_wildcard_error(self.project, self.source, entry)
            name = f"{self.source}.{entry}"
            failed.append(TableReport(name, name, "failed", error=error))
            self.listener.ended(failed[-1])
        return failed

    def _live_at(self, session: PgConnection, wanted: Sequence[Table]) -> LiveSource:
        """The source's tables now; in a second pass, updated for the tables that are read again."""
        live = read_live(session, self.project, self.source)
        if self.live is None:
            return live
        return with_live_tables(self.project, self.source, self.live, live, wanted)

    def _load_concurrently(
        self, tables: Sequence[Table], source: SourceAtSnapshot
    ) -> list[TableReport]:
        """Loads several tables at a time and reports them in their order."""
        pool = ThreadPoolExecutor(CONCURRENT_READS, "lakefeed")
        loads: list[Future[TableReport]] = []
        try:
            loads += [pool.submit(self._load_reported, table, source) for table in tables]
            return [load.result() for load in loads]
        except BaseException:
            # Ctrl-C must not wait for a long read.
            pool.shutdown(wait=False, cancel_futures=True)
            source.interrupt()
            raise
        finally:
            pool.shutdown()

    def _tables_to_load(self, now: LiveTables, wanted: Sequence[Table]) -> list[Table]:
        """The wanted tables as they are now; without `--select`, also new matches of wildcards."""
        if self.request.select or self._is_second_pass:
            return now.current(wanted)
        return [table for table in now.of_source() if self.request.covers(table)]

    def _load_reported(self, table: Table, source: SourceAtSnapshot) -> TableReport:
        if not self._is_second_pass:
            self.listener.started(table)
        try:
            report = self._load_table(table, source)
        except Exception as error:  # noqa: BLE001 - one bad table must not stop the others
            return self._stopped(table, self._explained(table, source, error))
        self.listener.ended(report)
        return report

    def _load_table(self, table: Table, source: SourceAtSnapshot) -> TableReport:
        assert self._now is not None
        plan = self._now.plan(table)
        options = self.request.options_for(plan)
        outcome = self._outcome(plan, source, options)
        return TableReport(
            name=table.shown,
            lake_name=table.lake_name,
            status="loaded" if outcome.committed else "unchanged",
            rows_read=outcome.rows_read,
            rows_written=outcome.rows,
            rows_deleted=outcome.deleted,
            null_cursors=outcome.null_cursors,
            checkpoint_before=outcome.checkpoint_before,
            checkpoint=outcome.checkpoint,
            load_id=outcome.committed[-1].load_id if outcome.committed else None,
            files=sum(len(load.files) for load in outcome.committed),
            seconds=outcome.seconds,
            notes=(*outcome.notes, *self._notes_of_second_pass(table)),
            complete_through=None if options.backfill else source.snapshot.taken_at.isoformat(),
        )

    def _outcome(
        self, plan: TablePlan, source: SourceAtSnapshot, options: LoadOptions
    ) -> LoadResult:
        def load(options: LoadOptions) -> LoadResult:
            with TableSession(source, plan) as opened:
                return self._load_in(opened, options)

        before = self._again.get(plan.table.lake_name)
        if self._standby and isinstance(before, RecoveryConflict):
            return load_beside_recovery(plan.table, options, load, self._standby)
        with TableSession(source, plan) as opened:
            return probe_table(self.project, opened, options) or self._load_in(opened, options)

    def _load_in(self, opened: TableSession, options: LoadOptions) -> LoadResult:
        # Imported late: dlt reads its environment on import, and `prepare_dlt` sets it.
        from lakefeed.loading.load import load_table

        return load_table(self.project, opened, options)

    def _explained(self, table: Table, source: SourceAtSnapshot, error: Exception) -> LakefeedError:
        if not self._is_second_pass and self._standby and self._standby.has_ended(error):
            return RecoveryConflict(f"{table.shown}: the standby cancelled the read")
        if isinstance(error, LakefeedError):
            return error
        return explain_failure(table, source.connection, error)

    def _stopped(self, table: Table, error: LakefeedError) -> TableReport:
        """Reports a failure, or queues the table for the second pass if it can be read again."""
        if self._is_second_pass or not isinstance(error, RetryAtLaterSnapshot):
            return self._failed(table, error)
        self._again[table.lake_name] = error
        return TableReport(table.shown, table.lake_name, "failed", error=error)

    def _notes_of_second_pass(self, table: Table) -> tuple[str, ...]:
        return (self._again[table.lake_name].note,) if self._is_second_pass else ()

    def _failed(self, table: Table, error: LakefeedError) -> TableReport:
        report = TableReport(table.shown, table.lake_name, "failed", error=error)
        self.listener.ended(report)
        return report
