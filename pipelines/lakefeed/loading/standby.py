"""Reads that a standby ends, since they are in the way of what the primary has sent.

Vacuum on the primary removes row versions that an older snapshot of the standby still sees. The
standby waits for `max_standby_streaming_delay`, and then ends whoever has such a snapshot, whatever
that is doing; with `hot_standby_feedback` the primary keeps them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import psycopg2

from lakefeed.declaration.tables import Table
from lakefeed.errors import LakefeedError, SourceUnreachable
from lakefeed.loading.error_translation import root_of, said_by_server
from lakefeed.loading.extract.steps import Steps
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.locks.table_lock import LockLost
from lakefeed.loading.sessions.retryable import RetryAtLaterSnapshot
from lakefeed.source.connections.connection import Connection, connect
from lakefeed.source.connections.failure import ConnectionLost
from lakefeed.source.snapshot import read_conflicts

_SIGN = "conflict with recovery"
# Into how many parts a table is cut that the standby let nobody read whole, and so on.
_FIRST_PARTS = 8
_MORE_PARTS = 8
_MOST_IN_A_ROW = 4
# A session that is ended is counted when it is gone.
_COUNTED_AFTER_SECONDS = 1.0
_SETTINGS = "hot_standby_feedback", "max_standby_streaming_delay"


class RecoveryConflict(RetryAtLaterSnapshot):
    """A read that the standby ended."""

    note = (
        "the standby ended a read of it (conflict with recovery), so it was read again at a later "
        "snapshot than the other tables"
    )


@dataclass(frozen=True)
class Standby:
    """Tells whether a failure is the standby's doing. `conflicts` is how many it had before."""

    connection: Connection
    conflicts: int

    def has_ended(self, error: BaseException) -> bool:
        """Whether it ended what failed.

        A session that was idle then only finds its connection closed; the standby's own count of
        conflicts tells, in whatever language.
        """
        root = root_of(error)
        said = said_by_server(root)
        if _SIGN in said:
            return True
        if isinstance(root, LakefeedError) and not isinstance(root, ConnectionLost | LockLost):
            return False
        return not said and self._has_more_conflicts()

    def settings(self) -> str:
        """How it is set, as far as that matters."""
        listed = ", ".join(f"current_setting('{name}')" for name in _SETTINGS)
        try:
            with (
                connect(self.connection, "lakefeed standby") as session,
                session.cursor() as cursor,
            ):
                cursor.execute(f"select {listed}")
                values = cursor.fetchone() or ()
        except LakefeedError:
            return ""
        told = (f"`{name}` is {value}" for name, value in zip(_SETTINGS, values, strict=True))
        return f" ({', '.join(told)})"

    def _has_more_conflicts(self) -> bool:
        limit = time.monotonic() + _COUNTED_AFTER_SECONDS
        with suppress(SourceUnreachable, LakefeedError, psycopg2.Error):
            while True:
                with connect(self.connection, "lakefeed standby") as session:
                    if (read_conflicts(session) or 0) > self.conflicts:
                        return True
                if time.monotonic() > limit:
                    return False
                time.sleep(0.1)
        return False


def is_standby(connection: Connection) -> bool:
    """Whether that is where a new connection leads."""
    try:
        with connect(connection, "lakefeed standby") as session:
            return read_conflicts(session) is not None
    except LakefeedError:
        return False


def load_beside_recovery(
    table: Table,
    options: LoadOptions,
    load: Callable[[LoadOptions], LoadResult],
    standby: Standby,
) -> LoadResult:
    """Loads a table that the standby didn't let be read: in steps where that is sound, and again.

    Raises:
        RecoveryConflict: it was ended too often in a row.
    """
    done: list[LoadResult] = []
    steps: Steps | None = Steps(_FIRST_PARTS)
    in_a_row = 0
    while True:
        try:
            outcome = load(replace(options, steps=steps))
        except Exception as error:
            if not standby.has_ended(error):
                raise
            in_a_row += 1
        else:
            done.append(outcome)
            if outcome.step is None:
                return _together(done)
            has_moved = outcome.checkpoint != outcome.checkpoint_before
            parts = steps.parts if steps else _FIRST_PARTS
            steps = Steps(parts, outcome.step.rows) if has_moved else None
            in_a_row = 0
            continue
        if in_a_row == _MOST_IN_A_ROW:
            raise _conflict(table, standby, done)
        steps = Steps((steps.parts if steps else 1) * _MORE_PARTS)


def _conflict(table: Table, standby: Standby, done: Sequence[LoadResult]) -> RecoveryConflict:
    kept = " What it had read before is committed, and the next run goes on there." if done else ""
    return RecoveryConflict(
        f"{table.shown}: the standby ended its read again and again (conflict with recovery): the "
        "primary had removed row versions that the read still needed",
        where=table.where,
        do="set `hot_standby_feedback = on` on the standby, or let it wait for longer with "
        f"`max_standby_streaming_delay`{standby.settings()}; or read from the primary.{kept}",
    )


def _together(done: Sequence[LoadResult]) -> LoadResult:
    """Several steps as one load."""
    first, last = done[0], done[-1]
    if len(done) == 1:
        return last
    notes = [note for outcome in done for note in outcome.notes]
    return replace(
        last,
        rows_read=sum(outcome.rows_read for outcome in done),
        rows=sum(outcome.rows for outcome in done),
        deleted=sum(outcome.deleted for outcome in done),
        checkpoint_before=first.checkpoint_before,
        committed=tuple(load for outcome in done for load in outcome.committed),
        notes=(*dict.fromkeys(notes), f"it was read in {len(done)} steps, each a load of its own"),
        seconds=sum(outcome.seconds for outcome in done),
    )
