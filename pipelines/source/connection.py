"""How a declared source is reached, and how its secrets are kept out of everything we print."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2
from dotenv import dotenv_values
from psycopg2.extensions import connection as PgConnection
from psycopg2.extensions import make_dsn, parse_dsn

from pipelines.declaration.project import Project
from pipelines.errors import DeclarationError, SourceUnreachable

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_CONNECT_TIMEOUT_SECONDS = 15
# Who waits longer for a lock stands in the way of all who come after.
LOCK_TIMEOUT_SECONDS = 60
_LOCAL = ("localhost", "127.0.0.1", "::1")
_ENCRYPTED = ("require", "verify-ca", "verify-full")

# Held by each of our transactions, so that no load takes another's reading for an application's
# writing. Not told by the application name: a pooler's sessions keep the name of who came before.
OURS = 7_233_181_046_921

# Row security off makes a policy fail loudly instead of hiding rows; UTC and ISO make text exact.
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "row_security": "off",
    "idle_in_transaction_session_timeout": "0",
}


@dataclass(frozen=True)
class Connection:
    """Where a source is and how to log in. Its repr shows no secret."""

    source: str
    dsn: str = field(repr=False)

    def for_session(self, application: str) -> str:
        """A libpq DSN for a session that names itself to the server."""
        return make_dsn(
            self.dsn,
            application_name=session_name(application),
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            # DuckDB's scanner takes it for granted, and would write other bytes as well.
            client_encoding="UTF8",
        )

    @property
    def may_go_unencrypted(self) -> bool:
        """Whether the login and all rows may cross a network in the clear."""
        given = parse_dsn(self.dsn)
        hosts = str(given.get("host") or given.get("hostaddr") or "/").split(",")
        is_local = all(host.startswith("/") or host in _LOCAL for host in hosts)
        mode = given.get("sslmode") or os.environ.get("PGSSLMODE")
        return not is_local and mode not in _ENCRYPTED

    def mask(self, text: str) -> str:
        """The text without this connection's password, in whichever spelling it occurs."""
        password = parse_dsn(self.dsn).get("password")
        for secret in (self.dsn, password):
            if secret:
                text = text.replace(secret, "***")
        return text


def connection_of(project: Project, source: str) -> Connection:
    """The connection of a declared source, from the environment, `.env` or dlt's secrets.

    Raises:
        DeclarationError: a variable isn't set, or what it holds isn't a connection URL.
    """
    path = ("sources", source, "connection")
    where = project.declared.document.where(path)
    declared = project.source(source).connection
    url = (
        _interpolate(project, source, declared, where) if declared else _dlt_secret(project, source)
    )
    if not url:
        raise DeclarationError(
            f"`{source}` has no connection",
            where=where,
            do=f"write `connection: ${{{source.upper()}_DATABASE_URL}}` and set it in .env, or "
            f"set [sources.{source}] credentials in .dlt/secrets.toml",
        )
    return connection_from_url(source, url, where)


def unset_variables(project: Project, source: str) -> list[str]:
    """The variables that the connection of a source names and that have no value here."""
    declared = project.source(source).connection or ""
    variables = {**_dotenv(project.root), **os.environ}
    return [name for name in _REFERENCE.findall(declared) if not variables.get(name)]


def connection_from_url(source: str, url: str, where: str = "") -> Connection:
    """A connection from a URL or a libpq keyword string.

    Raises:
        DeclarationError: it is neither.
    """
    dsn = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url.strip())
    try:
        parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        raise DeclarationError(
            f"the connection of `{source}` isn't a PostgreSQL URL",
            where=where,
            do="write it as postgresql://user:password@host:5432/database",
        ) from None
    return Connection(source, dsn)


def session_name(application: str) -> str:
    """The application's name, cut as the server cuts it."""
    return application[:63]


def transaction_settings(*, statement_timeout_ms: int = 0) -> str:
    """What each of our transactions begins with: read-only, in UTC, known as ours.

    For the transaction, not the session: behind a pooler in transaction mode each transaction may
    meet another session, which belongs to others afterwards. (tests/faults/test_pooler.py)
    """
    settings = {
        **_SETTINGS,
        "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
        "statement_timeout": str(statement_timeout_ms),
    }
    told = [f"set local {name} = '{value}'" for name, value in settings.items()]
    ours = f"select pg_advisory_xact_lock_shared({OURS})"
    return "; ".join(["set transaction read only", *told, ours])


@contextmanager
def connect(connection: Connection, application: str) -> Iterator[PgConnection]:
    """A read-only transaction on a session of its own, closed at the end.

    Raises:
        SourceUnreachable: with the server's own words, without the password.
    """
    try:
        session = psycopg2.connect(connection.for_session(application))
        with session.cursor() as cursor:
            cursor.execute(transaction_settings())
    except psycopg2.OperationalError as error:
        reason = " ".join(connection.mask(str(error)).split())
        raise SourceUnreachable(
            f"can't connect to `{connection.source}`: {reason}",
            do="check host, port, database, user and password in the URL, and that the server "
            "runs: lakefeed check --connect",
        ) from None
    try:
        yield session
    finally:
        with suppress(psycopg2.Error):
            # A pooler throws away a session that is left within a transaction.
            session.rollback()
        session.close()


def _interpolate(project: Project, source: str, text: str, where: str) -> str:
    variables = {**_dotenv(project.root), **os.environ}
    missing = unset_variables(project, source)
    if missing:
        raise DeclarationError(
            f"the variable {missing[0]} isn't set",
            where=where,
            do=f"put {missing[0]}=postgresql://user:password@host:5432/database into .env, "
            "or export it",
        )
    return _REFERENCE.sub(lambda match: variables[match[1]] or "", text)


def _dotenv(root: Path) -> dict[str, str | None]:
    path = root / ".env"
    return dotenv_values(path) if path.exists() else {}


def _dlt_secret(project: Project, source: str) -> str | None:
    from_environment = os.environ.get(f"SOURCES__{source.upper()}__CREDENTIALS")
    path = project.root / ".dlt" / "secrets.toml"
    if from_environment or not path.exists():
        return from_environment
    import tomllib

    secrets = tomllib.loads(path.read_text(encoding="utf-8"))
    found = secrets.get("sources", {}).get(source, {}).get("credentials")
    return found if isinstance(found, str) else None
