"""The lock that builds of a lake hold, on whatever machine they run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from duckdb import DuckDBPyConnection
from psycopg2 import Error as PgError

from lakefeed.errors import LakefeedError, Refused
from lakefeed.loading.locks.holding_sessions import sessions_holding
from lakefeed.loading.object_store.duckdb_access import give_secret
from lakefeed.source.connections.sessions import connect, open_session
from lakefeed.source.connections.watched_session import WatchedSession
from lakefeed.transformation.targets.ducklake import LAKE, Lake, opened

NOTHING_LOST = "nothing was published and nothing is lost: the next run builds what is missing"

_APPLICATION = "lakefeed build"
# Any number that nobody else locks in the catalogue's database: `lakefeed` in ASCII.
_NUMBER = int.from_bytes(b"lakefeed", signed=True)
_LIMITS = ["idle_in_transaction_session_timeout", "transaction_timeout"]
_WAIT_SECONDS = 600.0
_PAUSE_SECONDS = 0.2


@dataclass
class _Held:
    """A lock that this process holds, and the session on the lake that its holder uses."""

    lock: WatchedSession
    lake: ExitStack
    session: DuckDBPyConnection | None = None


# By the catalogue's DSN.
_held: dict[str, _Held] = {}


@contextmanager
def lake_lock(lake: Lake) -> Iterator[None]:
    """Holds the lock; waits for it up to ten minutes.

    It belongs to the session's transaction, so that it also works through a transaction pooler, and
    is released when the process dies.

    Raises:
        Refused: another build has held it all the time.
        SourceUnreachable: the catalogue can't be reached.
    """
    catalogue = lake.catalogue
    session = open_session(catalogue, _APPLICATION)
    try:
        with session.cursor() as cursor:
            # Those of a transaction that lasts as long as a build. `transaction_timeout` is new in
            # PostgreSQL 17.
            cursor.execute(
                "select set_config(name, '0', true) from pg_settings where name = any(%s)",
                [_LIMITS],
            )
        _wait(session)
        with ExitStack() as stack:
            _held[catalogue.dsn] = _Held(session, stack)
            yield
    finally:
        _held.pop(catalogue.dsn, None)
        with suppress(PgError, LakefeedError):
            session.close()


@contextmanager
def newest(lake: Lake) -> Iterator[DuckDBPyConnection]:
    """A session on the newest snapshot of the lake: one for all that the lock's holder does.

    To open one costs a quarter of a second, and a build needs a dozen.
    """
    held = _held.get(lake.catalogue.dsn)
    if held is None:
        with opened(lake) as session:
            yield session
        return
    if held.session is None:
        held.session = held.lake.enter_context(opened(lake))
    # A build may take longer than keys of a role hold.
    give_secret(held.session, lake.data, name=LAKE)
    with use_of(held.session) as session:
        yield session


@contextmanager
def use_of(session: DuckDBPyConnection) -> Iterator[DuckDBPyConnection]:
    """A session of its own on the databases of another, which is rolled back after an error."""
    cursor = session.cursor()
    try:
        cursor.execute(f"use {LAKE}.main")
        yield cursor
    finally:
        cursor.close()


def assert_locked(lake: Lake) -> None:
    """Checks that this process still holds the lock.

    Raises:
        Refused: the session with the lock has ended, so another build may have begun.
    """
    held = _held.get(lake.catalogue.dsn)
    try:
        if held is not None:
            with held.lock.cursor() as cursor:
                cursor.execute("select 1")
            return
    except (PgError, LakefeedError):
        pass
    raise Refused(
        "this run lost its lock on the warehouse: its session in the catalogue has ended",
        do=NOTHING_LOST,
    )


def lock_holder(lake: Lake) -> str:
    """Who holds the lock and how to end it; empty if nobody does.

    Raises:
        SourceUnreachable: the catalogue can't be reached.
    """
    with connect(lake.catalogue, "lakefeed unlock") as session:
        found = sessions_holding(session, _NUMBER)
    return f"{found[0]}; to end it, in the catalogue: {found[0].statement}" if found else ""


def _wait(session: WatchedSession) -> None:
    limit = time.monotonic() + _WAIT_SECONDS
    while True:
        with session.cursor() as cursor:
            cursor.execute("select pg_try_advisory_xact_lock(%s)", [_NUMBER])
            row = cursor.fetchone()
        if row and row[0]:
            return
        if time.monotonic() > limit:
            raise Refused(
                "another run has been building the warehouse for more than ten minutes",
                do="wait for it to end, then run: lakefeed build",
            )
        time.sleep(_PAUSE_SECONDS)
