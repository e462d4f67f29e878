"""What the slots hold back: how much of its log a source keeps for the tables that read it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from psycopg2.extensions import connection as PgConnection

from lakefeed.declaration.project import Project
from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError
from lakefeed.source.connections.connection import Connection, connection_of
from lakefeed.source.connections.sessions import connect
from lakefeed.source.log.checks import readable_slot
from lakefeed.source.log.failure import LogUnreadable
from lakefeed.source.log.session import why_no_replication
from lakefeed.source.log.slots import Slot, slot_of
from lakefeed.wording import data_size, duration_text


@dataclass(frozen=True)
class SlotState:
    """The replication slot of a source, as it is now.

    Attributes:
        tables: those that read the log through it.
        retained: how many bytes of the log it holds back; None if that isn't known.
        safe: how many more bytes can be written before it is lost; None if nothing bounds it.
        idle_seconds: for how long nothing has read or advanced it; None while something does,
            and before PostgreSQL 17.
        max_wal: how many bytes it may hold back for a table that fails; None for any number.
        problem: why it can't be read, or can't be looked at; empty otherwise.
    """

    source: str
    slot: str
    tables: tuple[str, ...]
    retained: int | None = None
    safe: int | None = None
    idle_seconds: float | None = None
    max_wal: int | None = None
    problem: str = ""

    @property
    def is_late(self) -> bool:
        """Whether it holds back more than half of what it may."""
        bounds = [bound for bound in (self.max_wal, self._lost_at) if bound]
        return bool(self.retained and bounds and self.retained > min(bounds) / 2)

    @property
    def _lost_at(self) -> int | None:
        if self.safe is None or self.retained is None:
            return None
        return self.safe + self.retained

    @property
    def shown(self) -> str:
        """A sentence about it."""
        name = f"the slot `{self.slot}` of `{self.source}`"
        if self.problem:
            return f"{name}: {self.problem}"
        idle = self.idle_seconds
        since = (
            f", last read {duration_text(dt.timedelta(seconds=round(idle)))} ago" if idle else ""
        )
        left = f"; it is lost after another {data_size(self.safe)}" if self.safe is not None else ""
        return f"{name} holds back {data_size(self.retained or 0)} of the log{since}{left}"

    def as_json(self) -> dict[str, Any]:
        """The state as JSON types."""
        return asdict(self)


def slot_states(project: Project, tables: Sequence[Table]) -> tuple[SlotState, ...]:
    """The slots through which these tables read the log. Connects only to their sources.

    A source that can't be reached is no error here: its slot has the reason as its problem.
    """
    logging = [table for table in tables if table.reads_log and not table.is_paused]
    sources = dict.fromkeys(table.source for table in logging)
    return tuple(
        _state_of(project, source, tuple(t.shown for t in logging if t.source == source))
        for source in sources
    )


def unreadable_log(
    session: PgConnection, project: Project, connection: Connection
) -> list[LakefeedError]:
    """Why the log of a source can't be read; empty if it can."""
    settings = project.wal_of(connection.source)
    reason: LakefeedError | None
    try:
        readable_slot(session, settings.slot, settings.publication)
    except LogUnreadable as error:
        reason = error
    else:
        reason = why_no_replication(connection)
    if reason is None:
        return []
    where = project.declared.document.where(("sources", connection.source))
    return [LakefeedError(reason.what, where=where, do=reason.do)]


def _state_of(project: Project, source: str, tables: tuple[str, ...]) -> SlotState:
    settings = project.wal_of(source)
    unknown = SlotState(source, settings.slot, tables, max_wal=settings.max_wal)
    try:
        with connect(connection_of(project, source), "lakefeed status") as session:
            return _of_slot(unknown, slot_of(session, settings.slot), dt.datetime.now(dt.UTC))
    except LakefeedError as error:
        return replace(unknown, problem=f"not known: {error.what}")


def _of_slot(unknown: SlotState, slot: Slot | None, now: dt.datetime) -> SlotState:
    if slot is None:
        return replace(unknown, problem="it doesn't exist; create it: lakefeed cdc setup")
    if slot.is_lost:
        why = slot.invalidation or "it never kept any of the log"
        return replace(unknown, problem=f"it is lost ({why}); create it anew: lakefeed cdc setup")
    since = slot.inactive_since
    return replace(
        unknown,
        retained=slot.retained,
        safe=slot.safe_wal_size,
        idle_seconds=(now - since).total_seconds() if since else None,
    )
