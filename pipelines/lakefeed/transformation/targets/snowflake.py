"""The Snowflake that dbt and Lakefeed build on: a database in an account, and a stage over raw."""

from __future__ import annotations

import atexit
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from lakefeed.declaration.environment.references import for_dbt
from lakefeed.declaration.project import Project
from lakefeed.errors import BuildFailed, DeclarationError, ExtraMissing, SourceUnreachable
from lakefeed.source.connections.credentials import interpolate
from lakefeed.transformation.targets.snowflake_names import name_of, stored_name

# Where dbt builds, nothing is permanent: versions are clones, so that Time Travel and Fail-safe
# would only store what nobody reads
# (https://docs.snowflake.com/en/user-guide/tables-temp-transient).
NEW_SCHEMA = "create transient schema if not exists {} data_retention_time_in_days = 0"

# Parameters of a URL that Snowflake's connector takes under the same names.
_PARAMETERS = (
    "warehouse", "role", "authenticator", "token", "private_key_file", "private_key_file_pwd",
    "host", "port", "protocol",
)  # fmt: skip
_SESSION = {
    "TIMEZONE": "UTC",
    "TIMESTAMP_TYPE_MAPPING": "TIMESTAMP_NTZ",
    "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
    "ABORT_DETACHED_QUERY": True,
    "ERROR_ON_NONDETERMINISTIC_MERGE": True,
    "QUERY_TAG": "lakefeed",
    # How casts to text write times: by default without their microseconds.
    "TIMESTAMP_NTZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF6",
    "TIMESTAMP_TZ_OUTPUT_FORMAT": "YYYY-MM-DD HH24:MI:SS.FF6 TZHTZM",
    "TIME_OUTPUT_FORMAT": "HH24:MI:SS.FF6",
}
EXAMPLE = "snowflake://user@organization-account?warehouse=LOADING&role=LAKEFEED"


class StatementFailed(BuildFailed):
    """Snowflake refused a statement, or the connection to it was lost."""

    number: int | None = None


@dataclass(frozen=True)
class Snowflake:
    """How an account is reached, the database that is the warehouse, and the stage over raw.

    `url` may contain a password. The names of the schemas that dbt builds in begin with `prefix`.
    """

    url: str = field(repr=False)
    database: str
    stage: str
    prefix: str = ""

    @property
    def account(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def shown(self) -> str:
        """The account and the database, without secrets."""
        return f"snowflake://{self.account}/{self.database}"


def snowflake_of(project: Project) -> Snowflake:
    """The Snowflake that a project declares; connects to nothing.

    Raises:
        DeclarationError: a variable of `url` isn't set.
    """
    declared = project.declaration.warehouse
    where = project.declared.document.where(("warehouse", "url"))
    url = interpolate(project, declared.url or "", where, example=EXAMPLE)
    return Snowflake(url, name_of((declared.database or "").upper()), declared.stage or "")


def output_of_snowflake(project: Project) -> dict[str, Any]:
    """The output of dbt's profile; the URL stays in its variable."""
    declared = project.declaration.warehouse
    return {
        "type": "lakefeed_snowflake",
        "url": for_dbt(declared.url or ""),
        "database": declared.database,
        "stage": declared.stage,
        "schema": "main",
        # Models of one build share its number, which the first of them takes.
        "threads": 1,
        "project": project.seen_from_dbt("."),
    }


def connection_arguments(url: str) -> dict[str, Any]:
    """What Snowflake's connector is called with for this URL.

    Raises:
        DeclarationError: it isn't a URL of Snowflake's, or has a parameter that isn't known.
    """
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme != "snowflake" or not parts.hostname:
        raise DeclarationError(
            "`warehouse.url` isn't the URL of a Snowflake account", do=f"write {EXAMPLE}"
        )
    if unknown := sorted(given.keys() - set(_PARAMETERS)):
        raise DeclarationError(
            f"`warehouse.url` has a parameter that isn't known: {unknown[0]}",
            do=f"use these: {', '.join(_PARAMETERS)}",
        )
    login = {"account": parts.hostname, "user": parts.username, "password": parts.password}
    found: dict[str, Any] = {key: unquote(value) for key, value in login.items() if value}
    if "port" in given:
        found["port"] = int(given.pop("port"))
    return {**found, **given}


def connect(url: str, database: str) -> Any:
    """A new connection, whose statements are transactions of their own.

    Raises:
        ExtraMissing: the connector isn't installed.
        SourceUnreachable: the account can't be reached, or refuses the login.
        DeclarationError: the URL, from a variable, isn't one of Snowflake's.
    """
    try:
        import snowflake.connector
    except ImportError:
        raise ExtraMissing(
            "`warehouse: {type: snowflake}` needs the package dbt-snowflake",
            do="install it: pip install 'lakefeed[snowflake]'",
        ) from None
    # The connector tells of what it raises, and of its own requests, as well.
    logging.getLogger("snowflake.connector").setLevel(logging.CRITICAL)
    arguments = connection_arguments(url)
    try:
        return snowflake.connector.connect(
            **arguments,
            database=stored_name(database),
            autocommit=True,
            application="Lakefeed",
            login_timeout=60,
            session_parameters=_SESSION,
        )
    except snowflake.connector.errors.Error as error:
        raise unreachable(Snowflake(url, database, ""), error) from None


def unreachable(snowflake: Snowflake, error: Exception) -> SourceUnreachable:
    """The error for an account that doesn't answer."""
    text = " ".join(str(error).split())
    for secret in _secrets(snowflake.url):
        text = text.replace(secret, "<hidden>")
    return SourceUnreachable(
        f"can't connect to the Snowflake account {snowflake.account}: {text[:300]}",
        do="check `warehouse.url`: account, user, key or password, warehouse and role",
    )


_connections: dict[tuple[str, str], Any] = {}


def open_connection(snowflake: Snowflake) -> Any:
    """The connection of this process, which its threads share.

    Raises:
        ExtraMissing: the connector isn't installed.
        SourceUnreachable: the account can't be reached.
    """
    key = (snowflake.url, snowflake.database)
    known = _connections.get(key)
    if known is None or known.is_closed():
        known = _connections[key] = connect(snowflake.url, snowflake.database)
    return known


@atexit.register
def close_connections() -> None:
    """Closes the connections of this process."""
    while _connections:
        _, connection = _connections.popitem()
        try:
            connection.close()
        except Exception:  # noqa: BLE001 - a lost one is closed
            continue


def run(snowflake: Snowflake, sql: str) -> Any:
    """Runs one statement; returns the cursor that has its rows.

    Raises:
        StatementFailed: Snowflake refuses it, or the connection was lost.
    """
    from snowflake.connector.errors import Error

    try:
        return open_connection(snowflake).cursor().execute(sql)
    except Error as error:
        raise failed(error) from error


def failed(error: Exception) -> StatementFailed:
    """The error for a statement that failed."""
    text = " ".join(str(getattr(error, "msg", None) or error).split())
    told = StatementFailed(f"Snowflake refused a statement: {text[:1000]}")
    told.number = getattr(error, "errno", None)
    return told


def _secrets(url: str) -> list[str]:
    found: Mapping[str, Any] = connection_arguments(url)
    hidden = (found.get(name) for name in ("password", "token", "private_key_file_pwd"))
    return [str(value) for value in hidden if value]


def stage_url(snowflake: Snowflake) -> str:
    """The URL of the declared stage; empty if there is none, or it is internal."""
    *schema, name = snowflake.stage.split(".")
    within = f" in schema {'.'.join(schema)}" if schema else ""
    try:
        cursor = run(snowflake, f"show stages{within}")
    except StatementFailed:
        return ""
    names = [column.name.lower() for column in cursor.description]
    found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return next((str(one["url"] or "") for one in found if one["name"] == name.upper()), "")
