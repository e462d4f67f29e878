"""A session through a Thrift server, which speaks HiveServer2's protocol: EMR, Dataproc.

One connection is one session, and has one statement at a time. So statements that run side by side
have connections of their own, each with the same settings; what needs the temporary views of the
statements before it runs on one connection alone.

impyla is the client, since PyHive, which dbt-spark would use, is no longer maintained.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lakefeed.errors import DeclarationError
from lakefeed.transformation.targets.spark import (
    PORTS,
    Session,
    Spark,
    StatementFailed,
    begin,
    failed,
)
from lakefeed.transformation.targets.spark_values import arrow_of, columns_of, exact_query

_OPTIONS = ("auth", "http_path", "service", "ssl")
_AUTH = {"plain": "PLAIN", "nosasl": "NOSASL", "kerberos": "GSSAPI"}
# Rows that one answer of the server has.
_ROWS_AT_ONCE = 10_000
# What the server says of a session that it has ended or never had.
_LOST = ("Invalid SessionHandle", "Invalid OperationHandle")
# The modules of Thrift's own errors.
_OF_THE_WIRE = ("thrift.transport.", "thrift.protocol.")


@dataclass(frozen=True)
class Answered:
    """What a statement gave. Times are texts, and so is what is nested."""

    columns: Sequence[tuple[str, str]]
    rows: list[tuple[Any, ...]]


class ThriftSession:
    """Connections to a Thrift server, as many as there are statements side by side."""

    def __init__(self, spark: Spark, *, begins: bool) -> None:
        self._spark = spark
        self._begins = begins
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._alone: Connection | None = None

    @property
    def is_lost(self) -> bool:
        # A connection that is lost is opened again.
        return False

    def run(self, sql: str) -> Answered:
        with self.connection() as connection:
            return connection.run(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.run(sql).rows

    def arrow(self, sql: str) -> Any:
        with self.connection() as connection:
            return connection.arrow(sql)

    def alone(self) -> Session:
        with self._lock:
            if self._alone is None or self._alone.is_lost:
                self._alone = Connection(self._spark, begins=self._begins)
            return self._alone

    def close(self) -> None:
        with self._lock:
            for connection in [*self._idle, *([self._alone] if self._alone else [])]:
                connection.close()
            self._idle.clear()
            self._alone = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection that no other thread uses."""
        with self._lock:
            found = self._idle.pop() if self._idle else None
        connection = found or Connection(self._spark, begins=self._begins)
        try:
            yield connection
        finally:
            if not connection.is_lost:
                with self._lock:
                    self._idle.append(connection)


class Connection:
    """One connection, which is one session. Statements of several threads wait for one another."""

    def __init__(self, spark: Spark, *, begins: bool) -> None:
        self.is_lost = False
        self._lock = threading.RLock()
        with self._telling():
            self._cursor = _cursor_of(place_of(spark.remote))
        if begins:
            begin(self.run, spark.catalog)

    def run(self, sql: str) -> Answered:
        with self._lock, self._telling():
            self._cursor.execute(sql)
            described = self._cursor.description or ()
            try:
                rows = self._cursor.fetchall()
            except IndexError:
                # What has no columns is described as one that has one, and the client looks for it.
                return Answered((), [])
        columns = [(str(name), str(kind).lower()) for name, kind, *_ in described]
        return Answered(columns, [_row(columns, row) for row in rows])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.run(sql).rows

    def arrow(self, sql: str) -> Any:
        with self._lock:
            columns = columns_of(self.rows(f"describe query {sql}"))
            return arrow_of(columns, self.rows(exact_query(columns, sql)))

    def alone(self) -> Session:
        return self

    def close(self) -> None:
        # It may be lost.
        with self._lock, suppress(Exception):
            self._cursor.close()
            self._cursor.connection.close()

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Raises what the client raises as StatementFailed."""
        try:
            yield
        except StatementFailed:
            raise
        except Exception as error:
            is_lost = (
                isinstance(error, (OSError, EOFError))
                or type(error).__module__.startswith(_OF_THE_WIRE)
                or any(sign in str(error) for sign in _LOST)
            )
            self.is_lost = self.is_lost or is_lost
            raise failed(error, is_lost=is_lost) from error
        except BaseException:
            # Ctrl-C leaves unread what the server sends.
            self.is_lost = True
            raise


@dataclass(frozen=True)
class Place:
    """What a URL says of a Thrift server, and of who connects to it."""

    host: str
    port: int
    user: str | None
    password: str | None
    auth: str
    service: str
    has_ssl: bool
    http_path: str | None


def open_thrift(spark: Spark, *, begins: bool) -> ThriftSession:
    """A session on a Thrift server, which has been reached once."""
    session = ThriftSession(spark, begins=begins)
    with session.connection():
        return session


def place_of(remote: str) -> Place:
    """Reads the URL of a Thrift server.

    Raises:
        DeclarationError: it has a part that isn't known.
    """
    parts = urlsplit(remote)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown or options.get("auth", "plain") not in _AUTH or parts.path.strip("/"):
        found = unknown[0] if unknown else "auth" if "auth" in options else "a path"
        raise DeclarationError(
            f"`warehouse.remote` has {found}, as Lakefeed doesn't know it",
            do="write thrift://user@host:10000, and behind it ?auth=plain, nosasl or kerberos, "
            "&service=hive, &ssl=true or &http_path=cliservice (docs/spark.md)",
        )
    try:
        port = parts.port or PORTS["thrift://"]
    except ValueError:
        raise DeclarationError(
            "`warehouse.remote` has no port number", do="write thrift://user@host:10000"
        ) from None
    return Place(
        host=parts.hostname or "",
        port=port,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        auth=_AUTH[options.get("auth", "plain")],
        service=options.get("service", "hive"),
        has_ssl=options.get("ssl", "false").lower() == "true",
        http_path=options.get("http_path"),
    )


def _cursor_of(place: Place) -> Any:
    """A new connection's only cursor."""
    from impala.dbapi import connect

    # Both log each error that they raise as well.
    for name in ("impala", "thrift"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    connection = connect(
        host=place.host,
        port=place.port,
        user=place.user,
        password=place.password,
        auth_mechanism=place.auth,
        kerberos_service_name=place.service,
        use_ssl=place.has_ssl,
        verify_cert=place.has_ssl,
        use_http_transport=place.http_path is not None,
        http_path=place.http_path or "",
    )
    # Texts of times are converted where their types are known. A query is closed by the next one.
    cursor = connection.cursor(user=place.user, convert_types=False, close_finished_queries=False)
    cursor.set_arraysize(_ROWS_AT_ONCE)
    cursor.connection = connection
    return cursor


def _row(columns: Sequence[tuple[str, str]], row: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(_value(kind, value) for (_, kind), value in zip(columns, row, strict=True))


def _value(kind: str, value: Any) -> Any:
    if value is None or kind == "binary":
        return value
    if kind == "decimal":
        return Decimal(value)
    # The client leaves the texts of arrays as they came.
    return value.decode() if isinstance(value, bytes) else value
