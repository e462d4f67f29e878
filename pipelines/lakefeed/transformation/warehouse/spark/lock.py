"""The lock that builds of a catalog hold, on whatever machine they run.

Spark has no locks that end with their holder, so the lock is a lease in the register. Its holder
renews it; one whose holder was killed ends within two minutes. A holder that lost its lease can't
publish, since what it would publish into is the register itself.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lakefeed.errors import LakefeedError, Refused
from lakefeed.interruption import raise_if_interrupted
from lakefeed.transformation.targets.spark import Spark, open_session
from lakefeed.transformation.warehouse.spark.register import (
    Lease,
    Register,
    change_register,
    clock,
    read_register,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOTHING_LOST = "nothing was published and nothing is lost: the next run builds what is missing"

_LEASE_SECONDS = 120
_RENEW_SECONDS = 30
_WAIT_SECONDS = 600.0
_PAUSE_SECONDS = 2.0


@dataclass
class _Held:
    """A lease that this process holds."""

    token: str
    # Renewing and publishing both replace the register.
    changing: threading.Lock = field(default_factory=threading.Lock)
    ends: threading.Event = field(default_factory=threading.Event)


_held: dict[Spark, _Held] = {}


@contextmanager
def spark_lock(spark: Spark) -> Iterator[None]:
    """Holds the lock; waits for it up to ten minutes.

    Raises:
        Refused: another build has held it all the time.
        SourceUnreachable: Spark can't be reached.
    """
    session = open_session(spark.remote, spark.catalog)
    held = _Held(_acquired(session))
    _held[spark] = held
    renewing = threading.Thread(target=_renew, args=(session, held), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        held.ends.set()
        renewing.join()
        del _held[spark]
        # A lease that can't be given back ends by itself.
        with suppress(Exception):
            change_register(session, lambda found: _without(found, held.token))


def change_locked(
    spark: Spark, session: SparkSession, change: Callable[[Register], Register]
) -> Register:
    """Replaces the register as the holder of the lock.

    Raises:
        Refused: this process doesn't hold the lock any more; and whatever `change` raises.
    """
    held = _held.get(spark)

    def by_holder(found: Register) -> Register:
        if held is None or found.lease is None or found.lease.token != held.token:
            raise _lost()
        return change(found)

    if held is None:
        raise _lost()
    with held.changing:
        return change_register(session, by_holder)


def assert_locked(spark: Spark, session: SparkSession) -> None:
    """Checks that this process still holds the lock.

    Raises:
        Refused: its lease has ended, so another build may have begun.
    """
    held, lease = _held.get(spark), read_register(session).lease
    if held is None or lease is None or lease.token != held.token:
        raise _lost()


def lock_holder(session: SparkSession) -> str:
    """Who holds the lock and how to end it; empty if nobody does."""
    lease = read_register(session).lease
    if lease is None or lease.until < clock(session):
        return ""
    return f"{lease.holder}; end it there, and the lock ends within two minutes"


def _acquired(session: SparkSession) -> str:
    """Takes the lease; returns its token."""
    token, deadline = uuid.uuid4().hex, time.monotonic() + _WAIT_SECONDS
    holder = f"process {os.getpid()} on {socket.gethostname()}"

    def taken(found: Register) -> Register:
        now = clock(session)
        if found.lease is not None and found.lease.until >= now:
            raise _Taken(found.lease.holder)
        return replace(found, lease=Lease(holder, token, now + _LEASE_SECONDS * 1_000_000))

    while True:
        try:
            change_register(session, taken)
        except _Taken as other:
            if time.monotonic() > deadline:
                raise Refused(
                    f"another build has held the lock of the warehouse for ten minutes: {other}",
                    do="wait for it, or end it there",
                ) from None
        else:
            return token
        raise_if_interrupted()
        time.sleep(_PAUSE_SECONDS)


class _Taken(Exception):
    """Another process holds the lease."""


def _renew(session: SparkSession, held: _Held) -> None:
    def renewed(found: Register) -> Register:
        if found.lease is None or found.lease.token != held.token:
            raise _lost()
        until = clock(session) + _LEASE_SECONDS * 1_000_000
        return replace(found, lease=replace(found.lease, until=until))

    while not held.ends.wait(_RENEW_SECONDS):
        # What fails here is told by whoever asks for the lock next; a server that restarts may
        # answer the next time.
        with suppress(Exception), held.changing:
            change_register(session, renewed)


def _without(found: Register, token: str) -> Register:
    mine = found.lease is not None and found.lease.token == token
    return replace(found, lease=None) if mine else found


def _lost() -> LakefeedError:
    return Refused(
        "this run lost its lock on the warehouse: it wasn't renewed in time", do=NOTHING_LOST
    )
