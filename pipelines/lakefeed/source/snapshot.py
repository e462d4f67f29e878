"""Opens the snapshot at which a source's tables are read, and computes the safe horizon.

The safe horizon is the earliest start of any transaction in flight, taken *before* the snapshot. A
row that such a transaction has yet to commit, with a cursor set by `now()`, can be older than rows
that were read already, but not older than the horizon. So the checkpoint never passes the horizon
(docs/design/safe-horizon.md).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from psycopg2 import Error as PgError
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ
from psycopg2.extensions import connection as PgConnection

from lakefeed.source.connections.budget import Budget, once_there_is_room
from lakefeed.source.connections.connection import Connection
from lakefeed.source.connections.limits import Allowance
from lakefeed.source.connections.session_settings import OURS, transaction_settings
from lakefeed.source.connections.sessions import begin, connect
from lakefeed.source.connections.watched_session import WatchedSession
from lakefeed.source.progress import COUNTS_SINCE

# A transaction takes its start time a moment before other sessions can see that it is running.
HORIZON_MARGIN = dt.timedelta(seconds=1)
# A transaction older than this is reported: until it ends, every load reads again from its start.
FORGOTTEN_AFTER = dt.timedelta(hours=1)

# Transactions of other databases can't write to this one, autovacuum writes no rows, and
# Lakefeed's own sessions only read.
_OTHERS = f"""
    from pg_stat_activity
    where pid <> pg_backend_pid() and datname = current_database()
        and backend_type <> 'autovacuum worker' and pid not in (
            select pid from pg_locks
            where locktype = 'advisory' and classid = {OURS >> 32} and objid = {OURS % 2**32}
                and database = (select oid from pg_database where datname = current_database())
                and mode = 'ShareLock'
        )
"""
_HORIZON = f"""
select
    clock_timestamp(),
    (select min(xact_start) {_OTHERS}),
    (select pid {_OTHERS} order by xact_start nulls last limit 1),
    array(
        select transaction::text || '@' || extract(epoch from prepared)
        from pg_prepared_xacts where database = current_database() order by 1
    ),
    pg_has_role(current_user, 'pg_read_all_stats', 'usage'),
    (select pid {_OTHERS} and state = 'disabled' limit 1),
    pg_is_in_recovery()
"""
_EXPORT = "select pg_export_snapshot(), clock_timestamp(), txid_current_snapshot()::text"
_NOTE = "select null, clock_timestamp(), txid_current_snapshot()::text"
_REPLAYED = "select pg_last_wal_replay_lsn()::text"
_CONFLICTS = """
select confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock
from pg_stat_database_conflicts
where datname = current_database() and pg_is_in_recovery()
"""
# A server that is promoted has a new timeline at once, and notes it with its next checkpoint: that
# is left where a server keeps its log in another way.
_TIMELINES = (
    "case when pg_is_in_recovery() then timeline_id else "
    "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int end",
    "timeline_id",
)
_HISTORY = """
select system_identifier || '/' || {timeline} from pg_control_system(), pg_control_checkpoint()
"""


@dataclass(frozen=True)
class Horizon:
    """The highest checkpoint that the transactions in flight allow.

    Attributes:
        prepared: the prepared transactions, whose start the server no longer reports.
        sees_others: False if some transactions in flight can't be seen: by this role, on a standby,
            or because a session hides them.
    """

    at: dt.datetime
    prepared: tuple[str, ...]
    sees_others: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """A snapshot of the source.

    Attributes:
        id: its exported ID, by which other sessions read at the same snapshot; None if it isn't
            held, so that they read at later ones.
        taken_at: by the source's clock.
        transactions: `txid_current_snapshot()`, that is `xmin:xmax:` and the writing transactions
            in flight, which a standby leaves out. Transaction IDs are only comparable within the
            same `history`.
        history: system identifier and timeline of the server; None if this role can't read them.
        conflicts: how many sessions the standby had cancelled before; None on a primary.
        replayed: a position in the log: the snapshot shows all commits before it. Known of a
            standby alone.
        counts_copies: whether the server tells how many rows a session has sent.
    """

    id: str | None
    taken_at: dt.datetime
    transactions: str
    horizon: Horizon
    history: str | None
    conflicts: int | None = None
    replayed: str | None = None
    counts_copies: bool = True


def horizon_from(
    now: dt.datetime,
    oldest_start: dt.datetime | None,
    *,
    prepared: tuple[str, ...],
    sees_others: bool,
    standby: bool,
    oldest_pid: int | None,
    hidden_pid: int | None = None,
) -> Horizon:
    """Computes the horizon and its warnings from what the server reported.

    Args:
        hidden_pid: a session that hides when its transaction began.
    """
    warnings = []
    if standby:
        warnings.append(
            "this is a standby, where the primary's transactions can't be seen: rows that are "
            "committed late are only found within the lookback"
        )
    elif not sees_others:
        warnings.append(
            "this role can't see other sessions: rows that are committed late are only found "
            "within the lookback; to find all of them, grant pg_read_all_stats to the role"
        )
    elif hidden_pid:
        warnings.append(
            f"a session (pid {hidden_pid}) has `track_activities` off, which hides when its "
            "transactions began: rows that it commits late are only found within the lookback"
        )
    if oldest_start and now - oldest_start > FORGOTTEN_AFTER:
        warnings.append(
            f"a transaction (pid {oldest_pid}) has been open since {oldest_start:%Y-%m-%d %H:%M} "
            "UTC; until it ends, every load reads again from that time"
        )
    if prepared:
        warnings.append(
            f"prepared transactions: {len(prepared)}; until they end, every load reads again from "
            "the last checkpoint before they were prepared"
        )
    at = min(now, oldest_start or now) - HORIZON_MARGIN
    sees_all = sees_others and not standby and not hidden_pid
    return Horizon(at, prepared, sees_all, tuple(warnings))


@contextmanager
def open_snapshot(
    connection: Connection, say: Callable[[str], None] | None = None, *, holds: bool = True
) -> Iterator[tuple[Snapshot, WatchedSession]]:
    """Opens a snapshot and yields it with the session that holds it until the block ends.

    Args:
        say: called with a message if it has to wait for a session.
        holds: hold the snapshot. Otherwise it is only recorded, and the session's transaction sees
            later commits; a standby cancels sessions that hold a snapshot for long, even idle ones.

    Raises:
        SourceUnreachable: there is no connection.
        Refused: other runs have all sessions that `max_connections` allows.
    """
    said = say or (lambda _: None)
    with ExitStack() as stack:

        def open_one() -> tuple[Snapshot, WatchedSession]:
            return stack.enter_context(_opened(connection, holds=holds))

        yield once_there_is_room(lambda: Allowance(said).one_more(open_one), said)


@contextmanager
def _opened(connection: Connection, *, holds: bool) -> Iterator[tuple[Snapshot, WatchedSession]]:
    """
    Raises:
        NoRoom: other runs have all sessions that `max_connections` allows.
    """
    with connect(connection, "lakefeed snapshot") as session:
        horizon = read_horizon(session)
        conflicts = read_conflicts(session)
        history = _read_history(session)
        replayed = None if conflicts is None else _read_replayed(session)
        session.rollback()
        if holds:
            session.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        begin(session, transaction_settings())
        with _budget_of(connection, session, may_be_alone=holds and conflicts is None):
            with session.cursor() as cursor:
                cursor.execute(_EXPORT if holds else _NOTE)
                row = cursor.fetchone()
            assert row is not None
            snapshot = Snapshot(
                id=row[0],
                taken_at=_utc(row[1]),
                transactions=row[2],
                horizon=horizon,
                history=history,
                conflicts=conflicts,
                replayed=replayed,
                counts_copies=session.server_version >= COUNTS_SINCE,
            )
            yield snapshot, session


@contextmanager
def _budget_of(
    connection: Connection, session: WatchedSession, *, may_be_alone: bool
) -> Iterator[None]:
    """Takes the slots of a run within the block, if its source has `max_connections`.

    Args:
        may_be_alone: whether this session can also read the tables. It can't without a snapshot of
            its own, and a standby would cancel it.

    Raises:
        NoRoom: other runs have them.
    """
    if connection.most is None:
        yield
        return
    budget = Budget(session, connection.most if may_be_alone else max(2, connection.most))
    budget.admit()
    session.budget = budget
    try:
        yield
    finally:
        budget.release()


def read_conflicts(session: PgConnection) -> int | None:
    """How many sessions this standby has cancelled in this database; None on a primary."""
    with session.cursor() as cursor:
        cursor.execute(_CONFLICTS)
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def read_horizon(session: PgConnection) -> Horizon:
    """Reads the horizon from the server's transactions in flight."""
    with session.cursor() as cursor:
        cursor.execute(_HORIZON)
        row = cursor.fetchone()
    assert row is not None
    now, start, pid, prepared, sees_others, hidden_pid, standby = row
    return horizon_from(
        _utc(now),
        _utc(start) if start else None,
        prepared=tuple(prepared),
        sees_others=sees_others,
        standby=standby,
        oldest_pid=pid,
        hidden_pid=hidden_pid,
    )


def _read_history(session: PgConnection) -> str | None:
    """Identifies the server's history, which changes with a restore or a failover."""
    for timeline in _TIMELINES:
        try:
            with session.cursor() as cursor:
                cursor.execute(_HISTORY.format(timeline=timeline))
                row = cursor.fetchone()
        except PgError:
            session.rollback()
        else:
            return str(row[0]) if row else None
    return None


def _read_replayed(session: PgConnection) -> str | None:
    with session.cursor() as cursor:
        cursor.execute(_REPLAYED)
        row = cursor.fetchone()
    return row[0] if row else None


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)
