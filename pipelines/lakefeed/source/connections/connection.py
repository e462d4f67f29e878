"""How a declared source is reached: its address and credentials, and messages without secrets."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from psycopg2.extensions import make_dsn, parse_dsn

from lakefeed.declaration.project import Project
from lakefeed.errors import DeclarationError, SourceUnreachable
from lakefeed.source.connections.credentials import dlt_secret, interpolate
from lakefeed.source.connections.failure import ConnectionLost, kind_of
from lakefeed.source.connections.url import dsn_from, dsn_from_fields

_CONNECT_TIMEOUT_SECONDS = 15
_PORT = "5432"
_LOCAL = ("localhost", "127.0.0.1", "::1")
_ENCRYPTED = ("require", "verify-ca", "verify-full")


def _new_run() -> int:
    """A random number that identifies the sessions of one run."""
    return int.from_bytes(os.urandom(4)) >> 2 | 1 << 30


@dataclass(frozen=True)
class Connection:
    """A source's address and credentials. Its repr contains no secret.

    Attributes:
        run: a number that only the sessions of this connection share.
        most: how many sessions all runs together may have (`max_connections`); None for any number.
    """

    source: str
    dsn: str = field(repr=False)
    run: int = field(default_factory=_new_run, repr=False, compare=False)
    most: int | None = field(default=None, repr=False, compare=False)

    def for_session(self, application: str, **keywords: object) -> str:
        """A libpq DSN with this application name, including the password."""
        return make_dsn(
            self.dsn,
            application_name=session_name(application),
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            # DuckDB's scanner assumes UTF-8 and stores other encodings' bytes as they are.
            client_encoding="UTF8",
            **keywords,
        )

    def without_password(self, application: str, **keywords: object) -> tuple[str, str | None]:
        """The DSN of `for_session` without its password, and the password, if it has one."""
        given = parse_dsn(self.for_session(application, **keywords))
        password = given.pop("password", None)
        return make_dsn(**given), password

    @property
    def may_go_unencrypted(self) -> bool:
        """Whether the password and the rows may cross a network unencrypted."""
        given = parse_dsn(self.dsn)
        hosts = str(given.get("host") or given.get("hostaddr") or "/").split(",")
        is_local = all(host.startswith("/") or host in _LOCAL for host in hosts)
        mode = given.get("sslmode") or os.environ.get("PGSSLMODE")
        return not is_local and mode not in _ENCRYPTED

    @property
    def shown(self) -> str:
        """Its name in messages; `the database` if the source has no name yet."""
        return f"`{self.source}`" if self.source else "the database"

    @property
    def address(self) -> str:
        """Host, port, database and user for messages, without the password."""
        host, port = self._host_and_port()
        named = (
            ("service", self._parameter("service", "PGSERVICE")),
            ("database", self._parameter("dbname", "PGDATABASE")),
            ("user", self._parameter("user", "PGUSER")),
        )
        parts = [f"{name} {value}" for name, value in named if value]
        if host or not parts[:1] or not parts[0].startswith("service"):
            is_socket = not host or host.startswith("/")
            parts.insert(0, f"socket {host}, port {port}" if is_socket else f"{host}:{port}")
        return " ".join(", ".join(parts).split())

    @property
    def server(self) -> tuple[str, str, str]:
        """Host, port and database, to name it elsewhere; of several hosts, the first."""
        host, port = (parts.split(",")[0] for parts in self._host_and_port())
        database = self._parameter("dbname", "PGDATABASE") or self._parameter("user", "PGUSER")
        is_local = not host or host.startswith("/")
        return "localhost" if is_local else host, port or _PORT, database

    def _host_and_port(self) -> tuple[str, str]:
        host = self._parameter("host", "PGHOST") or self._parameter("hostaddr", "PGHOSTADDR")
        return host, self._parameter("port", "PGPORT") or _PORT

    def _parameter(self, name: str, variable: str) -> str:
        return str(parse_dsn(self.dsn).get(name) or os.environ.get(variable) or "")

    def failure(self, message: str) -> SourceUnreachable:
        """The error for a connection that couldn't be opened.

        Args:
            message: of libpq, the server or DuckDB. Only its kind is used; it is never shown.
        """
        kind = kind_of(message)
        return kind.error(
            f"can't connect to {self.shown}: {kind.what} ({self.address})", do=kind.do
        )

    def lost(self) -> SourceUnreachable:
        """The error for a connection that was closed while it was in use."""
        return ConnectionLost(
            f"the connection to {self.shown} was lost ({self.address})",
            do="run again; no data was lost. The server's log says why the connection was closed",
        )


def connection_of(project: Project, source: str) -> Connection:
    """The connection of a declared source, from the environment, `.env` or dlt's secrets.

    Raises:
        DeclarationError: a variable isn't set, or its value isn't a connection URL.
    """
    path = ("sources", source, "connection")
    where = project.declared.document.where(path)
    declared, most = project.source(source).connection, project.source(source).max_connections
    shown = f"the connection of `{source}`"
    if declared:
        dsn = dsn_from(shown, interpolate(project, declared, where), where)
        return Connection(source, dsn, most=most)
    secret = dlt_secret(project, source)
    if isinstance(secret, dict):
        return Connection(source, dsn_from_fields(shown, secret, where), most=most)
    if secret:
        return Connection(source, dsn_from(shown, secret, where), most=most)
    raise DeclarationError(
        f"`{source}` has no connection",
        where=where,
        do=f"add `connection: ${{{source.upper()}_DATABASE_URL}}` and set the variable in .env, or "
        f"set `credentials` below [sources.{source}] in .dlt/secrets.toml",
    )


def catalogue_connection(project: Project) -> Connection:
    """The connection to the catalogue of `warehouse: {type: ducklake}`.

    Raises:
        DeclarationError: a variable isn't set, or its value isn't a connection URL.
    """
    where = project.declared.document.where(("warehouse", "catalog_url"))
    declared = project.declaration.warehouse.catalog_url or ""
    dsn = dsn_from("the catalogue's URL", interpolate(project, declared, where), where)
    return Connection("warehouse", dsn)


def connection_from_url(source: str, url: str, where: str = "") -> Connection:
    """A connection from a URL or a libpq keyword string.

    Args:
        source: its name; empty if it has none yet.

    Raises:
        DeclarationError: it is neither.
    """
    shown = f"the connection of `{source}`" if source else "the connection"
    return Connection(source, dsn_from(shown, url, where))


def session_name(application: str) -> str:
    """The application name as the server stores it: at most 63 characters, ASCII only."""
    return application.encode("ascii", "replace").decode()[:63]
