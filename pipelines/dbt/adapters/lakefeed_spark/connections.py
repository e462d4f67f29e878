"""Connections to a Spark, all of which share one session of this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dbt.adapters.contracts.connection import Connection, ConnectionState
from dbt.adapters.exceptions import FailedToConnectError
from dbt.adapters.spark.connections import SparkConnectionManager, SparkCredentials
from dbt.adapters.spark.session import SessionConnectionWrapper
from dbt_common.exceptions import DbtDatabaseError

from lakefeed.errors import LakefeedError
from lakefeed.transformation.targets.spark import Answer, Session, Spark, StatementFailed
from lakefeed.transformation.targets.spark_session import open_session


@dataclass
class LakefeedSparkCredentials(SparkCredentials):  # type: ignore[misc]
    """What the profile says: the server's URL, the catalog, and the project's folder.

    The URL may contain a secret, so that only `host` is ever shown: the server without it.
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


class _Cursor:
    """A cursor of this session, whose statements run when they are executed."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._answer: Answer | None = None

    def execute(self, sql: str, *parameters: Any) -> None:
        with telling():
            self._answer = self._session.run(sql % parameters if parameters else sql)

    @property
    def description(self) -> Sequence[tuple[Any, ...]]:
        with telling():
            columns = self._answer.columns if self._answer else ()
        return [(name, kind, None, None, None, None, True) for name, kind in columns]

    def fetchall(self) -> Sequence[tuple[Any, ...]]:
        with telling():
            return self._answer.rows if self._answer else ()

    def close(self) -> None:
        self._answer = None


@dataclass
class SessionHandle:
    """What dbt takes for an open connection."""

    session: Session

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
            # A model reads temporary views that statements before it have made.
            session = open_session(credentials.remote, credentials.catalog).alone()
        except LakefeedError as error:
            raise FailedToConnectError(str(error)) from None
        connection.handle = SessionConnectionWrapper(SessionHandle(session))
        connection.state = ConnectionState.OPEN
        return connection

    @contextmanager
    def exception_handler(self, sql: str) -> Iterator[None]:  # noqa: ARG002
        with telling():
            yield


@contextmanager
def telling() -> Iterator[None]:
    """Raises a statement's failure as dbt's own error, with all that Spark says."""
    try:
        yield
    except StatementFailed as error:
        raise DbtDatabaseError(error.told) from None
