"""A session on a Spark Connect server, by the thin client."""

from __future__ import annotations

import atexit
import gc
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakefeed.transformation.targets.spark import Session, StatementFailed, failed

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Some ten seconds. By default the client tries for ten minutes to reach a server that isn't there,
# and once more when the process ends.
_RETRIES = {"max_retries": 5, "initial_backoff": 50, "backoff_multiplier": 4.0, "max_backoff": 5000}
_LOST = ("UNAVAILABLE", "INVALID_HANDLE")


@dataclass
class _Collecting:
    """How many calls of all threads must not be interrupted by a collection of garbage."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    calls: int = 0
    was_enabled: bool = True


_collecting = _Collecting()


class ConnectSession:
    """A session whose statements run side by side."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session

    @property
    def is_lost(self) -> bool:
        return bool(self._session.client.is_closed)

    def run(self, sql: str) -> ConnectAnswer:
        with _telling():
            return ConnectAnswer(self._session.sql(sql))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.run(sql).rows

    def arrow(self, sql: str) -> Any:
        with _telling():
            return self._session.sql(sql).toArrow()

    def alone(self) -> Session:
        return self

    def close(self) -> None:
        from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Waits for what it tells the server in the background.
            ExecutePlanResponseReattachableIterator.shutdown()
            self._session.stop()

    def forget(self) -> None:
        """Ends it on this side alone, where the server is gone."""
        self._session.client.close()


@dataclass(frozen=True)
class ConnectAnswer:
    """What a statement gave, which is fetched when it is asked for: a query runs only then."""

    frame: DataFrame

    @property
    def columns(self) -> Sequence[tuple[str, str]]:
        with _telling():
            return [(one.name, one.dataType.simpleString()) for one in self.frame.schema.fields]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        with _telling():
            return [tuple(row) for row in self.frame.collect()]


def open_connect(remote: str) -> ConnectSession:
    """A new session, as the server's settings make it."""
    from pyspark.sql import SparkSession
    from pyspark.sql.connect.client.retries import DefaultPolicy

    # The thin client logs each error that it raises as well.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    session = SparkSession.builder.remote(remote).create()
    session.client.set_retry_policies([DefaultPolicy(**_RETRIES)])
    # What the client does at the end of a process asks a lost server in vain, for long.
    if at_end := getattr(session.client, "_cleanup_ml_cache", None):
        atexit.unregister(at_end)
    return ConnectSession(session)


@contextmanager
def _telling() -> Iterator[None]:
    """Raises what the client raises as StatementFailed."""
    try:
        with _without_collection():
            yield
    except StatementFailed:
        raise
    except Exception as error:
        is_lost = any(sign in str(error) for sign in _LOST)
        raise failed(error, is_lost=is_lost) from error


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keeps Python from collecting garbage, which the client's calls can't bear.

    A collection within a call runs finalizers that call as well, and waits for itself forever:
    SPARK-55020, mended in Spark 4.2 in the same way.
    """
    with _collecting.lock:
        _collecting.calls += 1
        if _collecting.calls == 1:
            _collecting.was_enabled = gc.isenabled()
            gc.disable()
    try:
        yield
    finally:
        with _collecting.lock:
            _collecting.calls -= 1
            if _collecting.calls == 0 and _collecting.was_enabled:
                gc.enable()
