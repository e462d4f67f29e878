"""The Spark that dbt and Lakefeed build on: a Spark Connect server with an Iceberg catalog."""

from __future__ import annotations

import atexit
import gc
import logging
import re
import socket
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakefeed.declaration.environment.references import for_dbt
from lakefeed.declaration.models.addresses import BESIDE_THRIFT, THRIFT
from lakefeed.declaration.project import Project
from lakefeed.errors import BuildFailed, DeclarationError, ExtraMissing, SourceUnreachable
from lakefeed.source.connections.credentials import interpolate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# How times are read and written is Spark's default in none of its versions: with another zone,
# timestamps shift, and in the legacy mode dates before 1582 do, by up to ten days
# (https://spark.apache.org/docs/latest/sql-data-sources-parquet.html).
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
}
# Some ten seconds. By default the client tries for ten minutes to reach a server that isn't there,
# and once more when the process ends.
_RETRIES = {"max_retries": 5, "initial_backoff": 50, "backoff_multiplier": 4.0, "max_backoff": 5000}
# What the thin client appends to the message of an error.
_STACK = re.compile(r"\s*JVM stacktrace:.*", re.DOTALL)
_DEFAULT_PORT = "15002"
_TOKEN = re.compile(r"[;/].*", re.DOTALL)


class StatementFailed(BuildFailed):
    """Spark refused a statement, or the connection to it was lost."""


@dataclass(frozen=True)
class Spark:
    """How a Spark is reached, and the Iceberg catalog in it that holds the warehouse.

    `remote` may contain a token; `shown` doesn't. The names of the schemas that dbt builds in begin
    with `prefix`.
    """

    remote: str
    catalog: str
    prefix: str = ""

    @property
    def shown(self) -> str:
        """Its address without parameters."""
        return "sc://" + _TOKEN.sub("", self.remote.removeprefix("sc://"))


def spark_of(project: Project) -> Spark:
    """The Spark that a project declares; connects to nothing.

    Raises:
        DeclarationError: a variable of `remote` isn't set.
    """
    declared = project.declaration.warehouse
    where = project.declared.document.where(("warehouse", "remote"))
    remote = interpolate(project, declared.remote or "", where, example="sc://host:15002")
    return Spark(remote, declared.catalog or "")


def output_of_spark(project: Project) -> dict[str, Any]:
    """The output of dbt's profile; the URL of the server stays in its variable."""
    declared = project.declaration.warehouse
    return {
        "type": "lakefeed_spark",
        "remote": for_dbt(declared.remote or ""),
        "catalog": declared.catalog,
        "schema": "main",
        "threads": 1,
        "project": project.seen_from_dbt("."),
    }


@dataclass
class _Collecting:
    """How many calls of all threads must not be interrupted by a collection of garbage."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    calls: int = 0
    was_enabled: bool = True


_collecting = _Collecting()
_sessions: dict[tuple[str, str], SparkSession] = {}


def open_session(remote: str, catalog: str) -> SparkSession:
    """The session of this process on a Spark; all that this process does there shares it.

    Raises:
        ExtraMissing: the thin client isn't installed.
        SourceUnreachable: the server can't be reached, or has no such catalog.
        DeclarationError: the URL, from a variable, is none of a Connect server.
    """
    try:
        from pyspark.sql import SparkSession
        from pyspark.sql.connect.client.retries import DefaultPolicy
    except ImportError:
        raise ExtraMissing(
            "`warehouse: {type: spark}` needs the packages dbt-spark and pyspark-client",
            do="install them: pip install 'lakefeed[spark]'",
        ) from None
    known = _sessions.get((remote, catalog))
    if known is not None and not known.client.is_closed:
        return known
    # The thin client logs each error that it raises as well.
    logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)
    spark = Spark(remote, catalog)
    _refuse_unreachable(spark)
    session = None
    try:
        session = SparkSession.builder.remote(remote).create()
        session.client.set_retry_policies([DefaultPolicy(**_RETRIES)])
        # What the client does at the end of a process asks a lost server in vain, for long.
        if at_end := getattr(session.client, "_cleanup_ml_cache", None):
            atexit.unregister(at_end)
        for name, value in _SETTINGS.items():
            session.conf.set(name, value)
        # Of what other sessions write, a cache would show the state of half a minute ago.
        session.conf.set(f"spark.sql.catalog.{catalog}.cache-enabled", "false")
        session.catalog.setCurrentCatalog(catalog)
    except Exception as error:  # noqa: BLE001 - gRPC's and pyspark's
        if session is not None:
            session.client.close()
        raise unreachable(spark, error) from None
    _sessions[remote, catalog] = session
    return session


def server_settings(spark: Spark, *names: str) -> dict[str, str | None]:
    """What the server's sessions begin with; None for what isn't set.

    Raises:
        SourceUnreachable: the server can't be reached.
    """
    from pyspark.sql import SparkSession

    # What `open_session` sets holds in its own session alone.
    session = SparkSession.builder.remote(spark.remote).create()
    try:
        with without_collection():
            return {name: session.conf.get(name, None) for name in names}
    except Exception as error:  # noqa: BLE001 - gRPC's and pyspark's
        raise unreachable(spark, error) from None
    finally:
        session.stop()


@atexit.register
def close_sessions() -> None:
    """Closes the sessions of this process; the server keeps others for an hour."""
    while _sessions:
        (remote, catalog), session = _sessions.popitem()
        try:
            # Else each session would be released in vain for half a minute.
            _refuse_unreachable(Spark(remote, catalog))
            from pyspark.sql.connect.client.reattach import ExecutePlanResponseReattachableIterator

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # Waits for what it tells the server in the background.
                ExecutePlanResponseReattachableIterator.shutdown()
                session.stop()
        except Exception:  # noqa: BLE001 - a server that is gone has no session either
            session.client.close()


@contextmanager
def without_collection() -> Iterator[None]:
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


def _refuse_unreachable(spark: Spark) -> None:
    """Checks that something listens at the address: gRPC takes most of a minute to say so."""
    if not spark.remote.startswith("sc://"):
        scheme, _, _ = spark.remote.partition(":")
        raise DeclarationError(
            f"`warehouse.remote` is a URL of {scheme}:, and not of a Spark Connect server (sc:)",
            do=BESIDE_THRIFT if spark.remote.startswith(THRIFT) else "write sc://host:15002",
        )
    host, _, port = spark.shown.removeprefix("sc://").rpartition(":")
    host, port = (host, port) if host else (port, _DEFAULT_PORT)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise unreachable(spark, error) from None


def unreachable(spark: Spark, error: Exception) -> SourceUnreachable:
    """The error for a server that doesn't answer, or that lacks the catalog."""
    text = " ".join(str(error).split())
    if "CATALOG" in text.upper() and spark.catalog in text:
        return SourceUnreachable(
            f"the Spark at {spark.shown} has no catalog named {spark.catalog}",
            do=f"start its server with the settings `spark.sql.catalog.{spark.catalog}…` "
            "(docs/spark.md)",
        )
    return SourceUnreachable(
        f"can't reach the Spark at {spark.shown}: {text[:300]}",
        do="check that its Connect server runs and that `warehouse.remote` is its URL",
    )


def rows_of(session: SparkSession, sql: str) -> list[tuple[Any, ...]]:
    """Runs one statement; returns its rows.

    Raises:
        StatementFailed: Spark refuses it, or the server was lost.
    """
    try:
        with without_collection():
            return [tuple(row) for row in session.sql(sql).collect()]
    except Exception as error:
        raise failed(error) from error


def arrow_of(session: SparkSession, sql: str) -> Any:
    """The rows of one statement as an Arrow table in memory.

    Raises:
        StatementFailed: Spark refuses it, or the server was lost.
    """
    try:
        with without_collection():
            return session.sql(sql).toArrow()
    except Exception as error:
        raise failed(error) from error


def failed(error: Exception) -> StatementFailed:
    """The error for a statement that failed, without the stack of Spark's process."""
    text = " ".join(_STACK.sub("", str(error)).split())
    if "UNAVAILABLE" in text or "INVALID_HANDLE" in text:
        return StatementFailed(
            f"the connection to Spark was lost: {text[:300]}",
            do="run again; nothing is lost. The log of its Connect server says why it ended",
        )
    return StatementFailed(f"Spark refused a statement: {text[:1000]}")


def quoted(*names: str) -> str:
    """A name with these parts as Spark has it: in backticks."""
    return ".".join(f"`{name.replace('`', '``')}`" for name in names)


def text_literal(text: str) -> str:
    """A text as a literal, in which a backslash escapes.

    Source: https://spark.apache.org/docs/latest/sql-ref-literals.html#string-literal
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def values(rows: Sequence[Sequence[str]]) -> str:
    """Rows of literals as the body of a `values` clause."""
    return ", ".join(f"({', '.join(row)})" for row in rows)
