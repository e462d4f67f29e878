"""Connections to a Spark Connect server, all of which share this process's one session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.exceptions import FailedToConnectError
from dbt.adapters.spark.connections import SparkConnectionManager, SparkCredentials
from dbt.adapters.spark.session import Cursor, SessionConnectionWrapper
from dbt_common.exceptions import DbtDatabaseError
from pyspark.sql import SparkSession

from lakefeed.errors import LakefeedError
from lakefeed.transformation.targets.spark import Spark, open_session, without_collection

_STACK_TRACE = "JVM stacktrace:"


@dataclass
class LakefeedSparkCredentials(SparkCredentials):  # type: ignore[misc]
    """What the profile says: the server's URL, the catalog, and the project's folder.

    The URL may contain a token, so that only `host` is ever shown: the server without it.
    """

    remote: str = ""
    catalog: str = ""
    project: str | None = None

    @classmethod
    def __pre_deserialize__(cls, data: Any) -> Any:
        shown = Spark(str(data.get("remote", "")), "").shown
        return super().__pre_deserialize__({"method": "session", **data, "host": shown})

    @property
    def type(self) -> str:
        return "lakefeed_spark"

    def _connection_keys(self) -> tuple[str, ...]:
        return "host", "catalog", "schema"


class _Cursor(Cursor):  # type: ignore[misc]
    """A cursor of this session, whose statements run when they are executed."""

    def __init__(self, session: SparkSession) -> None:
        super().__init__()
        self._session = session

    def execute(self, sql: str, *parameters: Any) -> None:
        self._df = self._session.sql(sql % parameters if parameters else sql)

    @property
    def description(self) -> Any:
        with without_collection():
            return super().description

    def fetchall(self) -> Any:
        with without_collection():
            return super().fetchall()


@dataclass
class SessionHandle:
    """What dbt takes for an open connection."""

    session: SparkSession

    def cursor(self) -> _Cursor:
        return _Cursor(self.session)


class LakefeedSparkConnectionManager(SparkConnectionManager):  # type: ignore[misc]
    """Opens sessions as Lakefeed does, and tells errors without the server's stack traces."""

    TYPE = "lakefeed_spark"

    @classmethod
    def open(cls, connection: Connection) -> Connection:
        if connection.state == ConnectionState.OPEN:
            return connection
        credentials = connection.credentials
        try:
            session = open_session(credentials.remote, credentials.catalog)
        except LakefeedError as error:
            raise FailedToConnectError(str(error)) from None
        connection.handle = SessionConnectionWrapper(SessionHandle(session))
        connection.state = ConnectionState.OPEN
        return connection

    @contextmanager
    def exception_handler(self, sql: str) -> Iterator[None]:  # noqa: ARG002
        try:
            with without_collection():
                yield
        except LakefeedError:
            raise
        except Exception as error:
            if not type(error).__module__.startswith(("pyspark.", "grpc.")):
                raise
            raise DbtDatabaseError(told(error)) from None


def told(error: Exception) -> str:
    """What Spark says of an error, without its stack trace."""
    return str(error).partition(_STACK_TRACE)[0].strip()
