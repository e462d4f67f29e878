"""The lock that builds of a catalog hold, on whatever machines they run: a lease in its register.

Spark has no locks that end with their holder.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from lakefeed.transformation.targets.spark import Session, Spark
from lakefeed.transformation.targets.spark_session import open_session
from lakefeed.transformation.warehouse.base.lease import LeaseLock
from lakefeed.transformation.warehouse.registered.lock import lease_of
from lakefeed.transformation.warehouse.spark.register import SparkRegister, SparkTable, clock


def spark_lock(spark: Spark) -> AbstractContextManager[None]:
    """Holds the lock; waits for it up to ten minutes.

    Raises:
        Refused: another build has held it all the time.
        SourceUnreachable: Spark can't be reached.
    """
    return _lock(spark, open_session(spark.remote, spark.catalog)).held()


def change_locked(
    spark: Spark, session: Session, change: Callable[[SparkRegister], SparkRegister]
) -> SparkRegister:
    """Replaces the register as the holder of the lock.

    Raises:
        Refused: this process doesn't hold the lock any more; and whatever `change` raises.
    """
    return _lock(spark, session).change_locked(change)


def assert_locked(spark: Spark, session: Session) -> None:
    """Checks that this process still holds the lock.

    Raises:
        Refused: its lease has ended, so another build may have begun.
    """
    _lock(spark, session).assert_held()


def lock_holder(spark: Spark, session: Session) -> str:
    """Who holds the lock and how to end it; empty if nobody does."""
    return _lock(spark, session).holder()


def _lock(spark: Spark, session: Session) -> LeaseLock[SparkRegister]:
    return lease_of(spark, SparkTable(session), lambda: clock(session))
