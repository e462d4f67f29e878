"""`lakefeed unlock`: which run holds a table's lock, and its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lakefeed.declaration.project import Project
from lakefeed.errors import EXIT_OK, EXIT_PARTLY_FAILED, LakefeedError
from lakefeed.loading.locks.holding_sessions import (
    RunSession,
    end_sessions_holding,
    sessions_holding,
)
from lakefeed.loading.locks.lock_file import Process, holder_of
from lakefeed.loading.locks.table_lock import lock_path, number_of
from lakefeed.orchestration.project.selection import table_named
from lakefeed.source.connections.connection import connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.transformation.warehouse.declared import warehouse_of


@dataclass(frozen=True)
class UnlockReport:
    """Who holds the lock of a table, and that of the warehouse.

    Attributes:
        process: the process with the lock file; None if nobody on this machine has it.
        sessions: those of the run that holds the lock in the source, its holder first.
        asked: whether their end was asked for.
        is_free: whether nobody holds the table's lock now.
        build: who builds the warehouse, and how to end it; empty if nobody does.
    """

    table: str
    process: Process | None
    sessions: tuple[RunSession, ...]
    asked: bool
    is_free: bool
    build: str

    @property
    def exit_code(self) -> int:
        """1 if it was to be ended, and is still locked."""
        return EXIT_PARTLY_FAILED if self.asked and not self.is_free else EXIT_OK

    @property
    def ended(self) -> bool:
        """Whether the run's sessions were told to end."""
        return self.asked and bool(self.sessions)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON types, for `--json`."""
        sessions = [
            {**asdict(found), "since": found.since.isoformat() if found.since else None}
            for found in self.sessions
        ]
        return {
            "table": self.table,
            "process": asdict(self.process) if self.process else None,
            "sessions": sessions,
            "ended": self.ended,
            "is_free": self.is_free,
            "build": self.build,
        }


def unlock(project: Project, name: str, *, ends: bool) -> UnlockReport:
    """Tells who holds the lock of a table, and ends that run's sessions in the source if asked.

    Raises:
        DeclarationError: there is no such table.
        SourceUnreachable: the source, which has the lock, is unreachable.
        Refused: the role may not end the sessions.
    """
    table = table_named(project, name)
    path, number = lock_path(project, table.lake_name), number_of(project, table.lake_name)
    with connect(connection_of(project, table.source), "lakefeed unlock") as session:
        process, sessions = holder_of(path), sessions_holding(session, number)
        is_free = not (sessions or process)
        if ends and sessions:
            is_free = end_sessions_holding(session, number, sessions)
    return UnlockReport(
        table=table.shown,
        process=process,
        sessions=sessions,
        asked=ends,
        is_free=is_free,
        build=_build_of(project),
    )


def _build_of(project: Project) -> str:
    try:
        return warehouse_of(project).lock_holder()
    except LakefeedError as error:
        return f"can't be told: {error.what}"
