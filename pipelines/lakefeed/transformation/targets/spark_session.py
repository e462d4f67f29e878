"""The sessions of this process, one on each Spark: by Spark Connect, or through a Thrift server."""

from __future__ import annotations

import atexit
import socket
from importlib.util import find_spec

from lakefeed.declaration.models.addresses import CONNECT, THRIFT
from lakefeed.errors import DeclarationError, ExtraMissing, LakefeedError
from lakefeed.transformation.targets.spark import Session, Spark, begin, quoted, unreachable
from lakefeed.transformation.targets.spark_connect import ConnectSession, open_connect
from lakefeed.transformation.targets.spark_thrift import open_thrift, place_of

_sessions: dict[tuple[str, str], Session] = {}
# What Spark says instead of a value.
_UNSET = "<undefined>"


def open_session(remote: str, catalog: str) -> Session:
    """The session of this process on a Spark; all that this process does there shares it.

    Raises:
        ExtraMissing: the client isn't installed.
        SourceUnreachable: the server can't be reached, or has no such catalog.
        DeclarationError: the URL, from a variable, isn't that of a server.
    """
    known = _sessions.get((remote, catalog))
    if known is not None and not known.is_lost:
        return known
    spark = Spark(remote, catalog)
    session = _new_session(spark)
    _sessions[remote, catalog] = session
    return session


def server_settings(spark: Spark, *names: str) -> dict[str, str | None]:
    """What the server's sessions begin with; None for what isn't set.

    Raises:
        SourceUnreachable: the server can't be reached.
    """
    # What `open_session` sets holds in its own session alone.
    session = _new_session(spark, begins=False)
    try:
        found = {name: session.rows(f"set {quoted(name)}")[0][1] for name in names}
    except LakefeedError as error:
        raise unreachable(spark, error) from None
    finally:
        session.close()
    return {name: None if value == _UNSET else value for name, value in found.items()}


@atexit.register
def close_sessions() -> None:
    """Closes the sessions of this process; the server keeps others for an hour."""
    while _sessions:
        (remote, catalog), session = _sessions.popitem()
        try:
            # Else each session would be released in vain for half a minute.
            _refuse_unreachable(Spark(remote, catalog))
            session.close()
        except Exception:  # noqa: BLE001 - a server that is gone has no session either
            if isinstance(session, ConnectSession):
                session.forget()


def _new_session(spark: Spark, *, begins: bool = True) -> Session:
    """A new session; one that begins has the settings that Lakefeed needs."""
    _refuse_others(spark)
    if find_spec("impala" if spark.scheme == THRIFT else "pyspark") is None:
        raise _missing_client()
    _refuse_unreachable(spark)
    session: Session | None = None
    try:
        if spark.scheme == THRIFT:
            return open_thrift(spark, begins=begins)
        session = open_connect(spark.remote)
        if begins:
            begin(session.rows, spark.catalog)
    except ImportError:
        raise _missing_client() from None
    except DeclarationError:
        raise
    except Exception as error:  # noqa: BLE001 - gRPC's, pyspark's and Thrift's
        if isinstance(session, ConnectSession):
            session.forget()
        raise unreachable(spark, error) from None
    return session


def _refuse_others(spark: Spark) -> None:
    if spark.scheme not in (CONNECT, THRIFT):
        raise DeclarationError(
            f"`warehouse.remote` is a URL of {spark.remote.partition(':')[0]}:, and of neither a "
            "Spark Connect server (sc:) nor a Thrift server (thrift:)",
            do="write sc://host:15002 or thrift://user@host:10000",
        )
    if spark.scheme == THRIFT:
        place_of(spark.remote)


def _missing_client() -> ExtraMissing:
    return ExtraMissing(
        "`warehouse: {type: spark}` needs the packages dbt-spark, pyspark-client and impyla",
        do="install them: pip install 'lakefeed[spark]'",
    )


def _refuse_unreachable(spark: Spark) -> None:
    """Checks that something listens at the address: gRPC takes most of a minute to say so."""
    try:
        socket.create_connection((spark.host, spark.port), timeout=10).close()
    except (OSError, ValueError) as error:
        raise unreachable(spark, error) from None
