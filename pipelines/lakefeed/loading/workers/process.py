"""The worker processes.

The process that is started (`main`) imports dlt, and what reaches the raw layer, forks a worker for
each socket but one, and is itself the worker of that one: so all is imported once, and no process
only waits. A worker outlives a run that is killed by a moment: it ends as soon as the socket is
closed, and commits only by the run's leave.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Channel
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

from lakefeed.declaration.project import Location
from lakefeed.errors import LakefeedError
from lakefeed.loading.dlt_settings.environment import import_pandas
from lakefeed.loading.error_translation import explain_failure
from lakefeed.loading.extract.extract_table import page_ranges
from lakefeed.loading.load_result import LoadResult
from lakefeed.loading.object_store.filesystem import import_filesystem
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.sessions.duckdb_engine import Engines, spill_folder
from lakefeed.loading.sessions.read_progress import ReadProgress, Statement
from lakefeed.loading.sessions.session import SourceSession
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.sessions.table_session import TableSession
from lakefeed.loading.workers.messages import (
    Closed,
    CloseSession,
    Done,
    Failed,
    Job,
    MayCommit,
    NeedsSeveralSessions,
    Opened,
    Reading,
    Received,
    Refusal,
    Setup,
)
from lakefeed.source.progress import Sent

# How long statements may take to be cancelled on the source once the run is gone.
_CANCEL_SECONDS = 2.0


def main(descriptors: Sequence[int], raw_url: str, root: str) -> None:
    """Works for the first socket, with a forked worker for each of the others, until all end.

    Args:
        raw_url, root: where raw is, and the root of the project.
    """
    # Ctrl-C reaches the run as well, which decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Imported before the fork, for all workers.
    import_pandas()
    import lakefeed.loading.load  # noqa: F401

    import_filesystem(Location(raw_url, Path(root)))
    # The garbage collector would write to all that the workers share, and so copy it.
    gc.freeze()
    first, *others = descriptors
    forked = []
    for descriptor in others:
        if (pid := os.fork()) == 0:
            _run_worker(descriptor, set(descriptors) - {descriptor}, forked=())
        forked.append(pid)
    _run_worker(first, set(others), forked)


def _run_worker(descriptor: int, others: set[int], forked: Sequence[int]) -> NoReturn:
    """Works until the run closes the socket, and ends the process after those that it forked."""
    for other in others:
        # A socket whose other end is gone is noticed only once nobody has it any more.
        os.close(other)
    channel = Channel(descriptor)
    try:
        setup = channel.recv()
        project = setup.project
        engines = Engines(spill_folder(project), at_most=1, in_one_thread=True, raw=project.raw)
        with closing(engines):
            _Worker(channel, setup, engines, forked).work()
    except (EOFError, OSError):
        # The run is gone.
        pass
    except Exception as error:  # noqa: BLE001 - else the run would take it for killed
        with suppress(OSError):
            channel.send(Failed(_unexpected(error), ()))
    finally:
        with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as its_end:
            # Another thread listens, for which closing it would have to wait.
            its_end.shutdown(socket.SHUT_RDWR)
        _end(forked)


def _end(forked: Sequence[int]) -> NoReturn:
    """Ends this process as soon as those that it forked have ended."""
    for pid in forked:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
    # Taking apart all that was imported would make the run wait.
    os._exit(0)


def _unexpected(error: Exception) -> LakefeedError:
    """What ended a worker: a fault of Lakefeed's, such as a result that can't be pickled."""
    return LakefeedError(
        f"the process that loaded it failed: {type(error).__name__}: {error}",
        do="run again: that finishes what it had begun. Report it, please: it is a fault of "
        "Lakefeed's",
    )


@dataclass(frozen=True)
class _RunsLock:
    """The lock of a table, which the run holds."""

    worker: _Worker
    notes: tuple[str, ...]

    def assert_held(self) -> None:
        """Asks the run.

        Raises:
            LakefeedError: the run has lost it.
        """
        answer = self.worker.ask(MayCommit())
        if isinstance(answer, Refusal):
            raise answer.error
        if not answer.keeps_session:
            self.worker.close_session()


class _ToldProgress(ReadProgress):
    """Tells the run which table is being read."""

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def begin(self, lake_name: str, query: str | None) -> None:
        super().begin(lake_name, query)
        self._channel.send(Reading(lake_name, query, is_over=False))

    def end(self, lake_name: str) -> None:
        super().end(lake_name)
        self._channel.send(Reading(lake_name, None, is_over=True))

    def received(self, lake_name: str, statement: Statement, sent: Sent | None) -> None:
        super().received(lake_name, statement, sent)
        self._channel.send(Received(lake_name, statement, sent))


class _Worker:
    """Loads the tables that the run names, one after another."""

    def __init__(
        self, channel: Channel, setup: Setup, engines: Engines, forked: Sequence[int]
    ) -> None:
        self._channel = channel
        self._forked = forked
        self._setup = setup
        self._source = SourceAtSnapshot(
            setup.connection,
            setup.snapshot,
            holder=None,
            engines=engines,
            waits=False,
            progress=_ToldProgress(channel),
        )
        self._received: SimpleQueue[Any] = SimpleQueue()
        self._is_loading = False

    def work(self) -> None:
        """Works until the run closes the socket, which ends the process."""
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            job = self._received.get()
            if isinstance(job, CloseSession):
                self.close_session()
                self._channel.send(Closed())
                continue
            self._is_loading = True
            outcome = self._outcome(job)
            self._is_loading = False
            if isinstance(outcome, Failed):
                self.close_session()
            self._channel.send(outcome)

    def ask(self, message: MayCommit) -> Any:
        """Sends a message and waits for the answer."""
        self._channel.send(message)
        return self._received.get()

    def close_session(self) -> None:
        """Closes the session that is kept for the next job, if there is one."""
        self._source.engines.discard_kept()

    def _listen(self) -> None:
        """Receives in a thread of its own, to learn at once that the run is gone."""
        with suppress(EOFError, OSError):
            while True:
                self._received.put(self._channel.recv())
        if self._is_loading:
            cancel = threading.Thread(target=self._source.interrupt, daemon=True)
            cancel.start()
            cancel.join(_CANCEL_SECONDS)
        _end(self._forked)

    def _outcome(self, job: Job) -> Done | Failed:
        try:
            result = self._load(job)
        except LakefeedError as error:
            return Failed(error, tuple(self._source.warnings))
        except Exception as error:  # noqa: BLE001 - one bad table must not stop the others
            explained = explain_failure(job.plan.table, self._setup.connection, error)
            return Failed(explained, tuple(self._source.warnings))
        return Done(result, tuple(self._source.warnings))

    def _load(self, job: Job) -> LoadResult:
        from lakefeed.loading.load import load_under_lock

        with TableSession(self._source, job.plan) as opened:
            session = opened.open()
            if self._needs_several_sessions(job, opened, session):
                raise NeedsSeveralSessions(f"{job.plan.table.shown} is read in several sessions")
            self._channel.send(Opened())
            lock = _RunsLock(self, job.notes)
            return load_under_lock(self._setup.project, opened, job.options, lock)

    def _needs_several_sessions(
        self, job: Job, opened: TableSession, session: SourceSession
    ) -> bool:
        """Whether the table is read in ranges, by several sessions or in several loads."""
        from lakefeed.loading.first_load import plan_first_load

        refreshes = job.options.full_refresh or job.plan.table.mode == "full_refresh"
        if (job.is_first or refreshes) and len(page_ranges(session, job.plan)) > 1:
            return True
        if not job.is_first:
            return False
        log = CommitLog(self._setup.project.raw, job.plan.table.lake_name)
        return plan_first_load(opened, log.loads(), job.options).is_in_ranges
