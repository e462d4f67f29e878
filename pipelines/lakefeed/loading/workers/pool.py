"""The workers of one run: starts them, gives each a table at a time, and holds the locks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Channel
from queue import Empty, SimpleQueue
from threading import Lock
from typing import TypeVar

from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError, SourceUnreachable, TableFailed
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.locks.table_lock import TableLock, table_lock
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import effective
from lakefeed.loading.sessions.snapshot_sessions import SourceAtSnapshot
from lakefeed.loading.workers.messages import (
    Closed,
    CloseSession,
    Commit,
    Done,
    Failed,
    FromWorker,
    Job,
    MayCommit,
    Opened,
    Reading,
    Received,
    Refusal,
    Setup,
    ToWorker,
)

_M = TypeVar("_M", Opened, MayCommit, Done, Closed)

_KEEP = Commit(keeps_session=True)

# Finds what this process finds, also where a program has added to `sys.path`.
_PROGRAM = """
import json, sys
sys.path[:], raw, descriptors = map(json.loads, sys.argv[1:])
from lakefeed.loading.workers.process import main
main(descriptors, *raw)
"""
_END_SECONDS = 5.0


class _WorkerEnded(Exception):
    """The other end of a worker's socket is closed."""


@dataclass
class _Worker:
    """The run's end of the socket of one worker."""

    end: socket.socket
    channel: Channel = field(init=False)
    is_set_up: bool = False
    has_session: bool = False

    def __post_init__(self) -> None:
        self.channel = Channel(os.dup(self.end.fileno()))

    def send(self, message: ToWorker) -> None:
        """
        Raises:
            _WorkerEnded: nobody is there to receive it.
        """
        try:
            self.channel.send(message)
        except OSError:
            raise _WorkerEnded from None

    def receive(self) -> FromWorker:
        """The next message.

        Raises:
            _WorkerEnded: there will be none.
        """
        try:
            message: FromWorker = self.channel.recv()
        except (EOFError, OSError):
            raise _WorkerEnded from None
        return message

    def close_session(self, source: SourceAtSnapshot) -> None:
        """Closes the session that the worker keeps between two tables, if it does."""
        if self.has_session:
            # One that has ended has closed it, too.
            with suppress(_WorkerEnded):
                self.send(CloseSession())
                _next(self, source, Closed)
            self.has_no_session(source)

    def has_no_session(self, source: SourceAtSnapshot) -> None:
        """Notes that the worker's session is closed."""
        if self.has_session:
            self.has_session = False
            source.session_ended()

    def hang_up(self) -> None:
        """Ends the worker, from any thread."""
        with suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends the worker and frees the socket. Nobody may be using it."""
        self.channel.close()
        self.end.close()


class Workers:
    """Processes that load tables of one source at one snapshot, each one table at a time.

    The run keeps the locks, the snapshot and the report. A worker that ends takes no other table
    with it.
    """

    def __init__(self, setup: Setup, count: int) -> None:
        pairs = [socket.socketpair() for _ in range(count)]
        theirs = [their for _, their in pairs]
        descriptors = [their.fileno() for their in theirs]
        path = [str(folder) for folder in sys.path]
        raw = setup.project.raw
        told = (path, (raw.url, str(raw.root)), descriptors)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *map(json.dumps, told)],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            # The run's own output may be JSON.
            stdout=subprocess.DEVNULL,
        )
        for their in theirs:
            their.close()
        self._setup = setup
        self._workers = [_Worker(our) for our, _ in pairs]
        # None once every worker has ended.
        self._free: SimpleQueue[_Worker | None] = SimpleQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._alive = count
        self._counting = Lock()

    def load(self, source: SourceAtSnapshot, plan: TablePlan, options: LoadOptions) -> LoadResult:
        """Loads one table in the next free worker; `lakefeed.loading.load.load_table` elsewhere.

        Raises:
            Refused: another load of this table is running, or a refresh would shrink it too much.
            TableFailed: the rows can't be read as declared, or the worker ended.
        """
        with (
            self._free_worker(plan.table) as worker,
            table_lock(self._setup.project, plan.table, source.needed_holder) as lock,
        ):
            try:
                job = Job(plan, options, lock.notes, is_first=self._is_first(plan))
                self._begin(worker, job, source)
                _next(worker, source, MayCommit)
                answer = _leave(lock, keeps_session=not source.is_short_of_sessions)
                worker.send(answer)
                result = _next(worker, source, Done).result
            except BaseException:
                worker.has_no_session(source)
                source.progress.end(plan.table.lake_name)
                raise
            if answer != _KEEP:
                worker.has_no_session(source)
            return result

    def without_one(self, source: SourceAtSnapshot, load: Callable[[], LoadResult]) -> LoadResult:
        """Loads a table in this process, while one worker waits and has no session.

        So a run has no more sessions than without workers.
        """
        worker = self._free.get()
        try:
            if worker:
                worker.close_session(source)
            return load()
        finally:
            self._free.put(worker)

    def close_unused_sessions(self, source: SourceAtSnapshot) -> None:
        """Closes the sessions of all workers that wait for a table."""
        waiting: list[_Worker | None] = []
        with suppress(Empty):
            while True:
                waiting.append(self._free.get_nowait())
        for worker in waiting:
            if worker:
                worker.close_session(source)
            self._free.put(worker)

    def interrupt(self) -> None:
        """Ends all workers, which cancel what the source computes for them."""
        for worker in self._workers:
            worker.hang_up()

    def close(self) -> None:
        """Ends all workers and waits for them."""
        for worker in self._workers:
            worker.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _is_first(self, plan: TablePlan) -> bool:
        """Whether no load of the table counts yet, as far as this run has seen."""
        log = CommitLog(self._setup.project.raw, plan.table.lake_name)
        seen = log.ids_seen()
        return seen is None or not effective(log.described(seen))

    def _begin(self, worker: _Worker, job: Job, source: SourceAtSnapshot) -> None:
        """Gives the worker its job in the session that it keeps, or in one that is counted."""
        if worker.has_session:
            try:
                self._start(worker, job, source)
            except SourceUnreachable:
                # The server has ended the session that it kept, and it got no other.
                worker.has_no_session(source)
            else:
                return
        source.count_session(lambda: self._start(worker, job, source))
        worker.has_session = True

    def _start(self, worker: _Worker, job: Job, source: SourceAtSnapshot) -> None:
        """Returns once the worker has a session on the source."""
        if not worker.is_set_up:
            worker.send(self._setup)
            worker.is_set_up = True
        worker.send(job)
        _next(worker, source, Opened)

    @contextmanager
    def _free_worker(self, table: Table) -> Iterator[_Worker]:
        worker = self._free.get()
        if worker is None:
            self._free.put(None)
            raise _ended(table)
        try:
            yield worker
        except _WorkerEnded:
            with self._counting:
                self._alive -= 1
                if not self._alive:
                    self._free.put(None)
            raise _ended(table) from None
        except BaseException:
            self._free.put(worker)
            raise
        self._free.put(worker)


def _next(worker: _Worker, source: SourceAtSnapshot, kind: type[_M]) -> _M:
    """The worker's next message, which is of this kind unless the load failed.

    Raises:
        LakefeedError: the load failed.
        _WorkerEnded: the worker has ended.
    """
    message = worker.receive()
    while isinstance(message, Reading | Received):
        message.note_in(source.progress)
        message = worker.receive()
    if isinstance(message, Done | Failed):
        for warning in message.warnings:
            source.warn(warning)
    if isinstance(message, Failed):
        raise message.error
    assert isinstance(message, kind)
    return message


def _leave(lock: TableLock, *, keeps_session: bool) -> Commit | Refusal:
    """Whether the worker may commit."""
    try:
        lock.assert_held()
    except LakefeedError as error:
        return Refusal(error)
    return Commit(keeps_session)


def _ended(table: Table) -> TableFailed:
    return TableFailed(
        f"{table.shown}: the process that loads it has ended",
        where=table.where,
        do="run again: that finishes what it had begun. If the system ran out of memory, its log "
        "says so",
    )
