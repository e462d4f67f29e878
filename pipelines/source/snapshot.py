"""One moment of the source that all its tables are read at, and how far the checkpoint may go.

The safe horizon is the earliest start of any transaction in flight, read *before* the snapshot: a
row whose cursor is set by `now()` inside such a transaction can still appear below the present, but
never below the horizon. The checkpoint therefore never passes it (design, promise 1).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ
from psycopg2.extensions import connection as PgConnection

from pipelines.source.connection import Connection, connect

# A transaction's start is noted a moment before other sessions can see it.
HORIZON_MARGIN = dt.timedelta(seconds=1)
# Older than this, a transaction is worth a warning: every load reads again from its start.
FORGOTTEN_AFTER = dt.timedelta(hours=1)

_HORIZON = """
select
    clock_timestamp(),
    (
        select min(xact_start) from pg_stat_activity
        where pid <> pg_backend_pid() and backend_type = 'client backend'
            and application_name not like 'lakefeed%%'
    ),
    (select min(prepared) from pg_prepared_xacts),
    pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
    pg_is_in_recovery(),
    (
        select pid from pg_stat_activity
        where pid <> pg_backend_pid() and backend_type = 'client backend'
            and application_name not like 'lakefeed%%'
        order by xact_start nulls last limit 1
    )
"""


@dataclass(frozen=True)
class Horizon:
    """How far the checkpoint may go, and what stands in the way of knowing it."""

    at: dt.datetime
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """An exported snapshot: its id for other sessions, its time by the source's clock."""

    id: str
    taken_at: dt.datetime
    horizon: Horizon


def horizon_from(
    now: dt.datetime,
    oldest_start: dt.datetime | None,
    oldest_prepared: dt.datetime | None,
    *,
    sees_others: bool,
    standby: bool,
    oldest_pid: int | None,
) -> Horizon:
    """The horizon as a pure function of what the server said."""
    starts = [moment for moment in (oldest_start, oldest_prepared) if moment]
    warnings = []
    if standby:
        warnings.append(
            "this is a standby: transactions on the primary can't be seen from here, so rows "
            "committed late are found only within the lookback"
        )
    elif not sees_others:
        warnings.append(
            "this role can't see other sessions, so rows committed late are found only within "
            "the lookback; to close the gap: grant pg_read_all_stats to it"
        )
    if oldest_start and now - oldest_start > FORGOTTEN_AFTER:
        warnings.append(
            f"a transaction (pid {oldest_pid}) has been open since {oldest_start:%Y-%m-%d %H:%M} "
            "UTC; every load reads again from there until it ends"
        )
    return Horizon(min([now, *starts]) - HORIZON_MARGIN, tuple(warnings))


@contextmanager
def open_snapshot(connection: Connection) -> Iterator[tuple[Snapshot, PgConnection]]:
    """Holds a snapshot open for as long as the block runs, with the session that holds it.

    Raises:
        SourceUnreachable: no connection.
    """
    with connect(connection, "lakefeed snapshot") as session:
        horizon = read_horizon(session)
        session.rollback()
        session.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        with session.cursor() as cursor:
            cursor.execute("select pg_export_snapshot(), clock_timestamp()")
            row = cursor.fetchone()
        assert row is not None
        yield Snapshot(row[0], _utc(row[1]), horizon), session


def read_horizon(session: PgConnection) -> Horizon:
    """Asks the server which transactions are in flight."""
    with session.cursor() as cursor:
        cursor.execute(_HORIZON)
        row = cursor.fetchone()
    assert row is not None
    now, start, prepared, sees_others, standby, pid = row
    return horizon_from(
        _utc(now),
        _utc(start) if start else None,
        _utc(prepared) if prepared else None,
        sees_others=sees_others,
        standby=standby,
        oldest_pid=pid,
    )


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)
