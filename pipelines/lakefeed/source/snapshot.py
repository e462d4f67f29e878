"""One moment of the source that all its tables are read at, and how far the checkpoint may go.

The safe horizon is the earliest start of any transaction in flight, read *before* the snapshot: a
row whose cursor is set by `now()` inside such a transaction can still appear below the present, but
never below the horizon. The checkpoint therefore never passes it (design, promise 1).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from psycopg2 import Error as PgError
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ
from psycopg2.extensions import connection as PgConnection

from lakefeed.source.connections.connection import Connection, begin, connect
from lakefeed.source.connections.limits import Allowance
from lakefeed.source.connections.session_settings import OURS, transaction_settings
from lakefeed.source.connections.watched_session import WatchedSession

# A transaction's start is noted a moment before other sessions can see it.
HORIZON_MARGIN = dt.timedelta(seconds=1)
# Older than this, a transaction is worth a warning: every load reads again from its start.
FORGOTTEN_AFTER = dt.timedelta(hours=1)

# Another database's transactions can't write here, and vacuum writes no rows.
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
_CONFLICTS = """
select confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock
from pg_stat_database_conflicts
where datname = current_database() and pg_is_in_recovery()
"""
_HISTORY = """
select system_identifier || '/' || timeline_id from pg_control_system(), pg_control_checkpoint()
"""


@dataclass(frozen=True)
class Horizon:
    """How far the checkpoint may go as far as running transactions are concerned.

    `prepared` names those that are prepared: when they began, the server doesn't say any more.
    `sees_others` is false where this role, a standby or a session hides transactions in flight.
    """

    at: dt.datetime
    prepared: tuple[str, ...]
    sees_others: bool
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Snapshot:
    """A moment of the source: its id for other sessions, its time by the source's clock.

    `transactions` is what PostgreSQL writes of it: `xmin:xmax:` and those in flight that write.
    Their numbers mean something within `history` alone; None where this role may not know it.

    `id` is None where nobody holds it, so that others read at later moments. `conflicts` is how
    many reads a standby had ended before; None on a primary.
    """

    id: str | None
    taken_at: dt.datetime
    transactions: str
    horizon: Horizon
    history: str | None
    conflicts: int | None = None


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
    """The horizon as a pure function of what the server said.

    Args:
        hidden_pid: of a session that doesn't say when its transaction began.
    """
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
    elif hidden_pid:
        warnings.append(
            f"a session (pid {hidden_pid}) has `track_activities` off and hides when its "
            "transactions began, so rows that they commit late are found only within the lookback"
        )
    if oldest_start and now - oldest_start > FORGOTTEN_AFTER:
        warnings.append(
            f"a transaction (pid {oldest_pid}) has been open since {oldest_start:%Y-%m-%d %H:%M} "
            "UTC; every load reads again from there until it ends"
        )
    if prepared:
        warnings.append(
            f"transactions are prepared, {len(prepared)} of them: every load reads again from the "
            "last one that did not see them prepared, until they end"
        )
    at = min(now, oldest_start or now) - HORIZON_MARGIN
    sees_all = sees_others and not standby and not hidden_pid
    return Horizon(at, prepared, sees_all, tuple(warnings))


@contextmanager
def open_snapshot(
    connection: Connection, say: Callable[[str], None] | None = None, *, holds: bool = True
) -> Iterator[tuple[Snapshot, WatchedSession]]:
    """Holds a snapshot open for as long as the block runs, with the session that holds it.

    Args:
        holds: else it is only noted, and the session, though in a transaction, sees what is new: a
            standby ends sessions that hold a snapshot for too long, even if they are idle.
        say: hears in a sentence that it has to wait for a session.

    Raises:
        SourceUnreachable: no connection.
    """
    with ExitStack() as stack:
        session = Allowance(say or (lambda _: None)).one_more(
            lambda: stack.enter_context(connect(connection, "lakefeed snapshot"))
        )
        horizon = read_horizon(session)
        conflicts = read_conflicts(session)
        history = _read_history(session)
        session.rollback()
        if holds:
            session.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        begin(session, transaction_settings())
        with session.cursor() as cursor:
            cursor.execute(_EXPORT if holds else _NOTE)
            row = cursor.fetchone()
        assert row is not None
        yield Snapshot(row[0], _utc(row[1]), row[2], horizon, history, conflicts), session


def read_conflicts(session: PgConnection) -> int | None:
    """How many sessions this standby has ended in this database; None on a primary."""
    with session.cursor() as cursor:
        cursor.execute(_CONFLICTS)
        row = cursor.fetchone()
    return None if row is None else int(row[0])


def read_horizon(session: PgConnection) -> Horizon:
    """Asks the server which transactions are in flight."""
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
    """Names the server's history: another one after a restore, and after a failover."""
    try:
        with session.cursor() as cursor:
            cursor.execute(_HISTORY)
            row = cursor.fetchone()
    except PgError:
        return None
    return str(row[0]) if row else None


def _utc(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone(dt.UTC)
