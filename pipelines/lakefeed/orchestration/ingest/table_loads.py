"""Where a table is loaded, in this process or in a worker, and how many at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar

from lakefeed.declaration.project import Project
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.log.run_log import RunLog
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.probe import SettledTable, probe_settled, probe_table, settled_table
from lakefeed.loading.probe_many import probe_many
from lakefeed.loading.sessions.duckdb_engine import CONCURRENT_READS
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.loading.workers.messages import NeedsSeveralSessions, Setup
from lakefeed.loading.workers.pool import Workers

# With fewer tables, probing all of them before the first is loaded takes longer than it saves.
FEWEST_TABLES = 12
# So many tables take as long to load as workers take to start.
_ENOUGH_FOR_WORKERS = 4

_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")

LoadOne = Callable[[TablePlan, LoadOptions], LoadResult]
_R = TypeVar("_R")
_T = TypeVar("_T")


@dataclass(frozen=True)
class InProcess:
    """Loads tables of one source in this process.

    Attributes:
        log: the source's log; None if no table is read by it.
    """

    project: Project
    source: SourceAtSnapshot
    log: RunLog | None = None

    def settled(self, plan: TablePlan, options: LoadOptions) -> SettledTable | None:
        """The table, if only reading it tells whether it has new rows; otherwise None."""
        return settled_table(self.project, plan, self.source.snapshot, options)

    def probe(self, table: SettledTable) -> LoadResult | None:
        """The result of a load that finds nothing new; None where there may be new rows."""
        with TableSession(self.source, table.plan) as opened:
            return probe_settled(table, opened, self.log)

    def load(self, plan: TablePlan, options: LoadOptions) -> LoadResult:
        """Loads a table without probing it."""
        with TableSession(self.source, plan) as opened:
            return self._load_in(opened, options)

    def probe_and_load(self, plan: TablePlan, options: LoadOptions) -> LoadResult:
        """Probes a table, and loads it in the same session if there may be new rows."""
        if self.source.is_alone:
            # A load takes the table's lock before it opens its session, where that is the same one.
            with TableSession(self.source, plan) as opened:
                found = probe_table(self.project, opened, options, self.log)
            return found or self.load(plan, options)
        with TableSession(self.source, plan) as opened:
            found = probe_table(self.project, opened, options, self.log)
            return found or self._load_in(opened, options)

    def _load_in(self, opened: TableSession, options: LoadOptions) -> LoadResult:
        # Imported late: dlt reads its environment on import, and `prepare_dlt` sets it.
        from lakefeed.loading.load import load_table

        return load_table(self.project, opened, options, self.log)


class ManyLoads:
    """Loads many tables of one source: in workers, as soon as a few tables have new rows.

    This process keeps the tables that several of its sessions read in parallel, and those whose
    locks it watches.
    """

    def __init__(self, here: InProcess) -> None:
        self._here = here
        self._with_news = 0
        self._counting = Lock()
        self._workers: Workers | None = None

    def settled(self, plan: TablePlan, options: LoadOptions) -> SettledTable | None:
        """The table, if only reading it tells whether it has new rows; otherwise None."""
        return self._counted(self._here.settled(plan, options))

    def probe_together(self, tables: Sequence[SettledTable]) -> dict[str, LoadResult | None]:
        """As `probe`, by lake name, for those of the tables that can be probed together."""
        found = probe_many(self._here.source, tables)
        for result in found.values():
            self._counted(result)
        return found

    def probe(self, table: SettledTable) -> LoadResult | None:
        """The result of a load that finds nothing new; None where there may be new rows."""
        return self._counted(self._here.probe(table))

    def _counted(self, found: _R | None) -> _R | None:
        """Counts a table of which nothing was found, since it has to be loaded.

        Side effect: starts the workers, which import dlt while other tables are probed.
        """
        if found is None:
            with self._counting:
                self._with_news += 1
                if self._with_news == _ENOUGH_FOR_WORKERS:
                    self._workers = self._start()
        return found

    def end_probing(self) -> None:
        """Makes room for the sessions of the workers, if there are any."""
        if self._workers:
            self._here.source.keep_no_sessions()

    def load(self, plan: TablePlan, options: LoadOptions) -> LoadResult:
        """Loads a table after all were probed."""
        if self._workers is None:
            return self._here.load(plan, options)
        if plan.table.settings.max_lock_wait is None and not plan.table.reads_log:
            with suppress(NeedsSeveralSessions):
                return self._workers.load(self._here.source, plan, options)
        load_here = partial(self._here.load, plan, options)
        return self._workers.without_one(self._here.source, load_here)

    def interrupt(self) -> None:
        """Ends all loads, from any thread."""
        if self._workers:
            self._workers.interrupt()
        self._here.source.interrupt()

    def close(self) -> None:
        """Ends the workers."""
        if self._workers:
            self._workers.close()

    def _start(self) -> Workers:
        source = self._here.source
        setup = Setup(self._here.project, source.connection, source.snapshot)
        workers = Workers(setup, min(usable_cores(), CONCURRENT_READS))
        source.at_shortage(partial(workers.close_unused_sessions, source))
        return workers


def workers_can_read(source: SourceAtSnapshot) -> bool:
    """Whether other processes can read at this snapshot, at the same time as this one.

    A standby may cancel any of their reads, and its counters tell only this process.
    """
    is_shared = source.snapshot.id is not None and source.snapshot.conflicts is None
    may_open_more = is_shared and not source.is_alone
    return may_open_more and usable_cores() > 1 and bool(sys.executable)


def in_threads(
    function: Callable[[_T], _R],
    tables: Sequence[_T],
    interrupt: Callable[[], None],
    *,
    at_most: int = CONCURRENT_READS,
) -> list[_R]:
    """The results for all tables in their order, several at a time.

    Args:
        interrupt: called from this thread if it is interrupted, so that the others end.
    """
    pool = ThreadPoolExecutor(at_most, "lakefeed")
    running: list[Future[_R]] = []
    try:
        running += [pool.submit(function, table) for table in tables]
        return [one.result() for one in running]
    except BaseException:
        # Ctrl-C must not wait for a long read.
        pool.shutdown(wait=False, cancel_futures=True)
        interrupt()
        raise
    finally:
        pool.shutdown()


def usable_cores() -> int:
    """The cores that this process may use."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    return min(len(allowed) or os.cpu_count() or 1, cores_of_container(_CPU_LIMIT))


def cores_of_container(limit: Path) -> int:
    """How many cores a container may use; many if it has no limit.

    Args:
        limit: the `cpu.max` of its control group: microseconds in each period, and the period
            (https://docs.kernel.org/admin-guide/cgroup-v2.html).
    """
    try:
        quota, period = limit.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return sys.maxsize
    return sys.maxsize if quota == "max" else max(1, int(quota) // int(period))
