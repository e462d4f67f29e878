"""What a run and its workers send each other, in the order in which they send it.

    the run                          the worker
    Setup                                           once
    Job                              Opened         it has a session, which may be the last one
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
from lakefeed.source.connections.connection import Connection
from lakefeed.source.snapshot import Snapshot


class NeedsSeveralSessions(LakefeedError):
    """The table is read in parallel ranges, for which a worker has no sessions."""


@dataclass(frozen=True)
class Setup:
    """What all loads of a worker share. The snapshot must be held by the run."""

    project: Project
    connection: Connection
    snapshot: Snapshot


@dataclass(frozen=True)
class Job:
    """One table to load. `notes` are those of the lock, which the run holds."""

    plan: TablePlan
    options: LoadOptions
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Opened:
    """The worker has opened its session on the source."""


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
FromWorker = Opened | MayCommit | Done | Failed | Closed
