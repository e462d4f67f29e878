"""What a run and its workers send each other, in the order in which they send it.

    the run                          the worker
    Setup                                           once
    Job                              Opened         it has a session, which may be the last one
                                     Reading        it begins to read, or has ended, at any time
                                     Received       what has arrived of a statement, at any time
                                     MayCommit      it has read, and ended the transaction
    Commit, or Refusal               Done           or Failed, at any time
    CloseSession                     Closed         between two jobs

All of it is pickled, so an error loses its cause.
"""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.declaration.project import Project
from lakefeed.errors import LakefeedError
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.plan.table_plan import TablePlan
from lakefeed.loading.sessions.read_progress import ReadProgress, Statement
from lakefeed.source.connections.connection import Connection
from lakefeed.source.progress import Sent
from lakefeed.source.snapshot import Snapshot


class NeedsSeveralSessions(LakefeedError):
    """The table is read in ranges: in parallel, for which a worker has no sessions, or in several
    loads, of which a worker commits only one."""


@dataclass(frozen=True)
class Setup:
    """What all loads of a worker share. The snapshot must be held by the run."""

    project: Project
    connection: Connection
    snapshot: Snapshot


@dataclass(frozen=True)
class Job:
    """One table to load. `notes` are those of the lock, which the run holds.

    `is_first`: no load of the table counts yet, or the run doesn't know.
    """

    plan: TablePlan
    options: LoadOptions
    notes: tuple[str, ...]
    is_first: bool


@dataclass(frozen=True)
class Opened:
    """The worker has opened its session on the source."""


@dataclass(frozen=True)
class Reading:
    """The worker begins to read a table: the rows of this query, if the planner can estimate them.

    `is_over`: it has ended.
    """

    lake_name: str
    query: str | None
    is_over: bool

    def note_in(self, progress: ReadProgress) -> None:
        """Has the run know it as well."""
        if self.is_over:
            progress.end(self.lake_name)
        else:
            progress.begin(self.lake_name, self.query)


@dataclass(frozen=True)
class Received:
    """What has arrived of a statement that the server doesn't count; None once it is over."""

    lake_name: str
    statement: Statement
    sent: Sent | None

    def note_in(self, progress: ReadProgress) -> None:
        """Has the run know it as well."""
        progress.received(self.lake_name, self.statement, self.sent)


@dataclass(frozen=True)
class MayCommit:
    """The worker has ended its transaction, and asks whether the run still holds the lock."""


@dataclass(frozen=True)
class Commit:
    """The run holds the lock. `keeps_session`: leave the session open for the next job."""

    keeps_session: bool


@dataclass(frozen=True)
class CloseSession:
    """The run needs the session that the worker keeps."""


@dataclass(frozen=True)
class Closed:
    """The worker has no session on the source."""


@dataclass(frozen=True)
class Refusal:
    """The run has lost the lock."""

    error: LakefeedError


@dataclass(frozen=True)
class Done:
    """The table is loaded. `warnings` are about the source."""

    result: LoadResult
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """The table isn't loaded, and the session is closed."""

    error: LakefeedError
    warnings: tuple[str, ...]


ToWorker = Setup | Job | Commit | Refusal | CloseSession
FromWorker = Opened | Reading | Received | MayCommit | Done | Failed | Closed
