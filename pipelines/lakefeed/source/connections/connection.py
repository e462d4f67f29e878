"""How a declared source is reached, and how its secrets are kept out of everything we print."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_READ_COMMITTED, make_dsn, parse_dsn

from lakefeed.declaration.project import Project
from lakefeed.errors import DeclarationError, LakefeedError, SourceUnreachable
from lakefeed.source.connections.credentials import dlt_secret, interpolate
from lakefeed.source.connections.failure import ConnectionLost, EndedByStandby, kind_of
from lakefeed.source.connections.keepalive import Line, new_run
from lakefeed.source.connections.session_settings import transaction_settings
from lakefeed.source.connections.url import dsn_from, dsn_from_fields
from lakefeed.source.connections.watched_session import WatchedSession, open_watched

_CONNECT_TIMEOUT_SECONDS = 15
# A serialization failure; of sessions that only read, nothing but a standby's recovery makes one.
_CONFLICT = "40001"
_LOCAL = ("localhost", "127.0.0.1", "::1")
_ENCRYPTED = ("require", "verify-ca", "verify-full")


@dataclass(frozen=True)
class Connection:
    """Where a source is and how to log in. Its repr shows no secret.

    `run` is a number that its sessions have in common, and with no others.
    """

    source: str
    dsn: str = field(repr=False)
    run: int = field(default_factory=new_run, repr=False, compare=False)

    def for_session(self, application: str, **keywords: object) -> str:
        """A libpq DSN for a session that names itself to the server."""
        return make_dsn(
            self.dsn,
            application_name=session_name(application),
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            # DuckDB's scanner takes it for granted, and would write other bytes as well.
            client_encoding="UTF8",
            **keywords,
        )

    def without_password(self, application: str, **keywords: object) -> tuple[str, str | None]:
        """The same, and the password apart; None where it has none."""
        given = parse_dsn(self.for_session(application, **keywords))
        password = given.pop("password", None)
        return make_dsn(**given), password

    @property
    def may_go_unencrypted(self) -> bool:
        """Whether the login and all rows may cross a network in the clear."""
        given = parse_dsn(self.dsn)
        hosts = str(given.get("host") or given.get("hostaddr") or "/").split(",")
        is_local = all(host.startswith("/") or host in _LOCAL for host in hosts)
        mode = given.get("sslmode") or os.environ.get("PGSSLMODE")
        return not is_local and mode not in _ENCRYPTED

    @property
    def shown(self) -> str:
        """What a sentence calls it: the source, where it has a name already."""
        return f"`{self.source}`" if self.source else "the database"

    @property
    def address(self) -> str:
        """Where it leads and as whom, for an error: never with a password."""
        given = parse_dsn(self.dsn)

        def parameter(name: str, variable: str) -> str:
            return str(given.get(name) or os.environ.get(variable) or "")

        host = parameter("host", "PGHOST") or str(given.get("hostaddr") or "")
        port = parameter("port", "PGPORT") or "5432"
        named = (
            ("service", parameter("service", "PGSERVICE")),
            ("database", parameter("dbname", "PGDATABASE")),
            ("user", parameter("user", "PGUSER")),
        )
        told = [f"{name} {value}" for name, value in named if value]
        if host or not told[:1] or not told[0].startswith("service"):
            is_socket = not host or host.startswith("/")
            told.insert(0, f"socket {host}, port {port}" if is_socket else f"{host}:{port}")
        return " ".join(", ".join(told).split())

    def failure(self, said: str) -> SourceUnreachable:
        """The error for a connection that didn't come about, or was lost.

        Args:
            said: by libpq, the server or DuckDB. It tells the kind, and is shown nowhere.
        """
        kind = kind_of(said)
        return kind.error(
            f"can't connect to {self.shown}: {kind.what} ({self.address})", do=kind.do
        )

    def lost(self) -> SourceUnreachable:
        """The error for a connection that was cut off while it was used."""
        return ConnectionLost(
            f"the connection to {self.shown} was lost ({self.address})",
            do="run again: nothing was lost; the server's log says why it was closed",
        )


def connection_of(project: Project, source: str) -> Connection:
    """The connection of a declared source, from the environment, `.env` or dlt's secrets.

    Raises:
        DeclarationError: a variable isn't set, or what it holds isn't a connection URL.
    """
    path = ("sources", source, "connection")
    where = project.declared.document.where(path)
    declared = project.source(source).connection
    shown = f"the connection of `{source}`"
    if declared:
        return Connection(
            source, dsn_from(shown, interpolate(project, source, declared, where), where)
        )
    secret = dlt_secret(project, source)
    if isinstance(secret, dict):
        return Connection(source, dsn_from_fields(shown, secret, where))
    if secret:
        return Connection(source, dsn_from(shown, secret, where))
    raise DeclarationError(
        f"`{source}` has no connection",
        where=where,
        do=f"write `connection: ${{{source.upper()}_DATABASE_URL}}` and set it in .env, or "
        f"set [sources.{source}] credentials in .dlt/secrets.toml",
    )


def connection_from_url(source: str, url: str, where: str = "") -> Connection:
    """A connection from a URL or a libpq keyword string.

    Args:
        source: its name; empty where it has none yet.

    Raises:
        DeclarationError: it is neither.
    """
    shown = f"the connection of `{source}`" if source else "the connection"
    return Connection(source, dsn_from(shown, url, where))


def session_name(application: str) -> str:
    """The application's name as the server keeps it: 63 characters of ASCII, at most."""
    return application.encode("ascii", "replace").decode()[:63]


def open_session(connection: Connection, application: str) -> WatchedSession:
    """A session of psycopg2's, which the caller closes.

    Raises:
        SourceUnreachable: as of `session_on`.
    """
    return session_on(Line(connection, application))


def session_on(line: Line) -> WatchedSession:
    """The same, on this line.

    Raises:
        SourceUnreachable: which kind of failure it was. What libpq said goes with no exception, not
            even as its context: dlt keeps those in its traces.
    """
    try:
        return open_watched(line)
    except (psycopg2.Error, ValueError) as error:
        failure = line.connection.failure(str(error))
    raise failure


def begin(session: WatchedSession, settings: str) -> None:
    """Begins a transaction with these settings, as a session that the server knows as ours."""
    with session.cursor() as cursor:
        cursor.execute(f"{settings}; {session.line.announcement}")
        _, address, port = cursor.fetchall()[0]
    session.line.server = f"{address} {port}"


@contextmanager
def connect(connection: Connection, application: str) -> Iterator[WatchedSession]:
    """A read-only transaction on a session of its own, closed at the end.

    Raises:
        SourceUnreachable: no connection, or it was lost on the way.
        LakefeedError: the server refused a statement that the block didn't expect to be refused.
    """
    session = open_session(connection, application)
    try:
        # Said with each `begin`: a standby refuses what the role may have for its default.
        session.set_session(isolation_level=ISOLATION_LEVEL_READ_COMMITTED, readonly=True)
        begin(session, transaction_settings())
        yield session
    except psycopg2.Error as error:
        raise refusal(connection, error) from None
    finally:
        session.close()


def refusal(connection: Connection, error: psycopg2.Error) -> LakefeedError:
    """What a session that stood says, as an error of ours: the server's own sentence, if any."""
    if error.pgcode is None or error.pgcode.startswith(("08", "57P")):
        return connection.lost()
    said = " ".join((error.diag.message_primary or type(error).__name__).split())
    if error.pgcode == _CONFLICT:
        return EndedByStandby(
            f"{connection.shown}: {said}", do="run again, or read from the primary"
        )
    return LakefeedError(
        f"{connection.shown} refused a statement: {said}",
        do="run again; if it is refused again, see what the role lacks (docs/guarantees.md)",
    )
