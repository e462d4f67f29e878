"""Loads the tables of one source at one snapshot, failures isolated by table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError
from lakefeed.loading.error_translation import explain_failure
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.log.held_slot import held_slot
from lakefeed.loading.log.run_log import run_log
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.probe import SettledTable
from lakefeed.loading.sessions.duckdb_engine import CONCURRENT_READS, Engines, spill_folder
from lakefeed.loading.sessions.read_progress import ReadProgress
from lakefeed.loading.sessions.retryable import RetryAtLaterSnapshot
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.standby import RecoveryConflict, Standby, is_standby, load_beside_recovery
from lakefeed.orchestration.ingest.follow_reads import followed
from lakefeed.orchestration.ingest.frozen_tables import without_changes_of_frozen
from lakefeed.orchestration.ingest.live_tables import LiveTables
from lakefeed.orchestration.ingest.load_request import LoadRequest
from lakefeed.orchestration.ingest.table_loads import (
    FEWEST_TABLES,
    InProcess,
    LoadOne,
    ManyLoads,
    in_threads,
    workers_can_read,
)
from lakefeed.orchestration.project.catalogue_sync import (
    LiveSource,
    lost_wildcard_error,
    read_live,
    with_live_tables,
)
from lakefeed.orchestration.project.live_log import may_read_log
from lakefeed.orchestration.reports.listener import Listener
from lakefeed.orchestration.reports.run_report import TableReport
from lakefeed.source.connections.connection import Connection, connection_of
from lakefeed.source.connections.failure import ConnectionLost, EndedByStandby
from lakefeed.source.snapshot import open_snapshot

# How often to retry when a standby cancels the short queries on its system catalogue.
_MOST_TIMES_ENDED = 3


class SourceRun:
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
        """Loads these tables and reports each; see the attributes `live` and `warnings`, too."""
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
        with ExitStack() as stack:
            # Before the snapshot is taken, so that the log has all that the snapshot lacks.
            slot = None
            by_log = [table.lake_name for table in wanted if table.reads_log]
            # A wildcard may match a first table that is read by the log.
            if by_log or (not self.request.select and may_read_log(self.project, self.source)):
                slot = stack.enter_context(held_slot(self.project, connection, self._warn, by_log))
            opened = open_snapshot(connection, self._warn, holds=self._holds_snapshot)
            snapshot, session = stack.enter_context(opened)
            if snapshot.conflicts is not None:
                self._standby = Standby(connection, snapshot.conflicts)
            self.warnings += [f"{self.source}: {line}" for line in snapshot.horizon.warnings]
            self.live = self._live_at(session, wanted)
            self._now = LiveTables(self.project, self.source, self.live)
            tables = self._tables_to_load(self._now, wanted)
            at_most = max([CONCURRENT_READS, *(table.settings.parallel or 0 for table in tables)])
            spill, log, progress = spill_folder(self.project), None, ReadProgress()
            pool = Engines(spill, at_most, in_one_thread=True, raw=self.project.raw)
            if slot:
                plans = self._now.plans_by_log(tables)
                log = stack.enter_context(run_log(slot, snapshot, plans, spill, progress=progress))
            with closing(pool) as engines:
                source = SourceAtSnapshot(connection, snapshot, session, engines, progress=progress)
                with followed(source, self.listener, {t.lake_name: t.shown for t in tables}):
                    reports = self._load_concurrently(tables, InProcess(self.project, source, log))
            if log:
                self.warnings += [f"{self.source}: {line}" for line in log.advance()]
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

    def _load_concurrently(self, tables: Sequence[Table], here: InProcess) -> list[TableReport]:
        """Loads several tables at a time and reports them in their order."""
        source = here.source
        if len(tables) < FEWEST_TABLES or not workers_can_read(source):
            load_here = partial(self._probed_and_loaded, here)
            loaded_here = partial(self._loaded, source, load_here)
            at_most = 1 if source.is_alone else CONCURRENT_READS
            return in_threads(loaded_here, tables, source.interrupt, at_most=at_most)
        with closing(ManyLoads(here)) as many:
            reports = {report.lake_name: report for report in self._probed(many, source, tables)}
            many.end_probing()
            rest = [table for table in tables if table.lake_name not in reports]
            loaded = in_threads(partial(self._loaded, source, many.load), rest, many.interrupt)
        reports |= {report.lake_name: report for report in loaded}
        return [reports[table.lake_name] for table in tables]

    def _tables_to_load(self, now: LiveTables, wanted: Sequence[Table]) -> list[Table]:
        """The wanted tables as they are now; without `--select`, also new matches of wildcards."""
        if self.request.select or self._is_second_pass:
            return now.current(wanted)
        return [table for table in now.active() if self.request.covers(table)]

    def _probed(
        self, many: ManyLoads, source: SourceAtSnapshot, tables: Sequence[Table]
    ) -> list[TableReport]:
        """Reports the tables in which probes find nothing new, or which fail."""
        looked_at = in_threads(partial(self._settled, many, source), tables, many.interrupt)
        reports = [found for found in looked_at if isinstance(found, TableReport)]
        settled = [found for found in looked_at if isinstance(found, SettledTable)]
        together = many.probe_together(settled)
        reports += [
            self._ended(source, table, result)
            for table in settled
            if (result := together.get(table.plan.table.lake_name))
        ]
        rest = [table for table in settled if table.plan.table.lake_name not in together]
        alone = in_threads(partial(self._unchanged, many, source), rest, many.interrupt)
        return reports + [report for report in alone if report]

    def _settled(
        self, many: ManyLoads, source: SourceAtSnapshot, table: Table
    ) -> SettledTable | TableReport | None:
        """The table to probe; its report if it fails; None if it has to be loaded."""
        try:
            return many.settled(*self._planned(table))
        except Exception as error:  # noqa: BLE001 - one bad table must not stop the others
            return self._stopped(table, self._explained(table, source, error))

    def _unchanged(
        self, many: ManyLoads, source: SourceAtSnapshot, settled: SettledTable
    ) -> TableReport | None:
        """Reports a table if a probe finds nothing new, or fails."""
        table = settled.plan.table
        try:
            found = many.probe(settled)
        except Exception as error:  # noqa: BLE001 - one bad table must not stop the others
            return self._stopped(table, self._explained(table, source, error))
        return self._ended(source, settled, found) if found else None

    def _ended(
        self, source: SourceAtSnapshot, settled: SettledTable, found: LoadResult
    ) -> TableReport:
        report = self._report_of(settled.plan.table, source, LoadOptions(), found)
        self.listener.ended(report)
        return report

    def _loaded(self, source: SourceAtSnapshot, load: LoadOne, table: Table) -> TableReport:
        if not self._is_second_pass:
            self.listener.started(table)
        try:
            plan, options = self._planned(table)
            report = self._report_of(table, source, options, load(plan, options))
        except Exception as error:  # noqa: BLE001 - one bad table must not stop the others
            return self._stopped(table, self._explained(table, source, error))
        self.listener.ended(report)
        return report

    def _planned(self, table: Table) -> tuple[TablePlan, LoadOptions]:
        assert self._now is not None
        plan = self._now.plan(table)
        return plan, self.request.options_for(plan)

    def _report_of(
        self, table: Table, source: SourceAtSnapshot, options: LoadOptions, outcome: LoadResult
    ) -> TableReport:
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

    def _probed_and_loaded(
        self, here: InProcess, plan: TablePlan, options: LoadOptions
    ) -> LoadResult:
        before = self._again.get(plan.table.lake_name)
        if self._standby and isinstance(before, RecoveryConflict):
            load = partial(here.load, plan)
            return load_beside_recovery(plan.table, options, load, self._standby)
        return here.probe_and_load(plan, options)

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
