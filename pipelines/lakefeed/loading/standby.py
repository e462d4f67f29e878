"""Loads tables from a standby that cancels reads because of recovery conflicts.

Vacuum on the primary removes row versions that an older snapshot on the standby can still see. The
standby waits for `max_standby_streaming_delay`, then cancels every session with such a snapshot.
With `hot_standby_feedback` the primary keeps those row versions.
(https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import psycopg2

from lakefeed.declaration.table import Table
from lakefeed.errors import LakefeedError, SourceUnreachable
from lakefeed.loading.error_translation import root_of, server_message
from lakefeed.loading.load_result import LoadOptions, LoadResult
from lakefeed.loading.locks.table_lock import LockLost
from lakefeed.loading.ranges.steps import Steps
from lakefeed.loading.sessions.retryable import RetryAtLaterSnapshot
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.failure import ConnectionLost
from lakefeed.source.connections.sessions import connect
from lakefeed.source.snapshot import read_conflicts

_CONFLICT = "conflict with recovery"
# After a conflict the rest of the table is split into eight parts, after the next into 64, …
_FIRST_PARTS = 8
_MORE_PARTS = 8
_MOST_CONFLICTS_IN_A_ROW = 4
# PostgreSQL counts a conflict only once the cancelled session has ended.
_COUNTED_AFTER_SECONDS = 1.0
_SETTINGS = "hot_standby_feedback", "max_standby_streaming_delay"


class RecoveryConflict(RetryAtLaterSnapshot):
    """The standby cancelled a read."""

    note = (
        "the standby cancelled a read (conflict with recovery), so the table was read again at a "
        "later snapshot than the other tables"
    )


@dataclass(frozen=True)
class Standby:
    """Recognizes failures that a standby caused. `conflicts` is its count before the load."""

    connection: Connection
    conflicts: int

    def has_ended(self, error: BaseException) -> bool:
        """Whether the standby cancelled the session that failed.

        A session that was idle at that moment only finds its connection closed, so the standby's
        count of conflicts is compared. That also works if the server's messages are translated.
        """
        root = root_of(error)
        message = server_message(root)
        if _CONFLICT in message:
            return True
        if isinstance(root, LakefeedError) and not isinstance(root, ConnectionLost | LockLost):
            return False
        return not message and self._has_more_conflicts()

    def settings(self) -> str:
        """The standby's settings for conflicts, in parentheses; empty if they can't be read."""
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
        current = (f"`{name}` is {value}" for name, value in zip(_SETTINGS, values, strict=True))
        return f" (now {', '.join(current)})"

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
    """Whether a new connection reaches a standby."""
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
    """Loads a table despite recovery conflicts: retries, in ever smaller steps where possible.

    Raises:
        RecoveryConflict: the standby cancelled the read too many times in a row.
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
        if in_a_row == _MOST_CONFLICTS_IN_A_ROW:
            raise _conflict(table, standby, done)
        steps = Steps((steps.parts if steps else 1) * _MORE_PARTS)


def _conflict(table: Table, standby: Standby, done: Sequence[LoadResult]) -> RecoveryConflict:
    kept = " The steps read so far are committed; the next run continues there." if done else ""
    return RecoveryConflict(
        f"{table.shown}: the standby repeatedly cancelled the read (conflict with recovery): the "
        "primary had removed row versions that the read still needed",
        where=table.where,
        do="on the standby, set `hot_standby_feedback = on` or raise "
        f"`max_standby_streaming_delay`{standby.settings()}; or read from the primary.{kept}",
    )


def _together(done: Sequence[LoadResult]) -> LoadResult:
    """Combines the results of several steps into one."""
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
        notes=(*dict.fromkeys(notes), f"the table was read in {len(done)} steps, one load each"),
        seconds=sum(outcome.seconds for outcome in done),
    )
