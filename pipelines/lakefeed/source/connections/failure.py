"""Why no connection came about, in words of our own.

libpq, the server and DuckDB repeat what they were given: DuckDB the whole connection string, libpq
a part of the password where it isn't percent-encoded and so stands where a host or port is looked
for. Taking a secret out of such a text again can't be done for all spellings of it, and damages
words that are like it. So what they say only tells the kind, and is never shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lakefeed.errors import SourceUnreachable


class NoSessionLeft(SourceUnreachable):
    """The role, the database, the server or a pooler has as many sessions as it may have."""


class ConnectionLost(SourceUnreachable):
    """It was cut off while it was used."""


class EndedByStandby(SourceUnreachable):
    """A statement was in the way of what a standby had to do (SQLSTATE 40001)."""


class Unexplained(SourceUnreachable):
    """What was said is none of the kinds that are known: it may be in another language."""


@dataclass(frozen=True)
class Kind:
    """One kind of failure: how its text is known, what happened, what to do, and which error."""

    sign: re.Pattern[str]
    what: str
    do: str
    error: type[SourceUnreachable] = SourceUnreachable


_ENCODED = "in a URL, characters such as @ / : # ? % are percent-encoded there (@ is %40)"
_RUNS = "check host and port, and that the server runs"
_WAIT = "run again when it is up"


def _kind(sign: str, what: str, do: str) -> Kind:
    return Kind(re.compile(sign, re.IGNORECASE), what, do)


def _limit(sign: str, what: str, do: str) -> Kind:
    return replace(_kind(sign, what, do), error=NoSessionLeft)


# In this order: a server that refuses a login has been reached, whatever else a text says of other
# addresses of the same host.
_KINDS = (
    _kind(
        r"password authentication failed",
        "password authentication failed",
        f"check user and password; {_ENCODED}",
    ),
    _kind(
        r"no password supplied",
        "the server asks for a password, and none is given",
        "put the password into the URL, or into the file that PGPASSFILE names",
    ),
    _kind(
        r"no pg_hba\.conf entry .*(?:SSL off|no encryption)",
        "the server accepts no unencrypted connection of this user from here (pg_hba.conf)",
        "add `sslmode=require` to the URL, or a line to the server's pg_hba.conf",
    ),
    _kind(
        r"pg_hba\.conf (?:entry|rejects)",
        "the server accepts no connection of this user from here (pg_hba.conf)",
        "check user and database, or add a line to the server's pg_hba.conf",
    ),
    _kind(
        r"(?:peer|ident|ldap|pam|radius|cert\w*|gss\w*|sspi|scram\w*) authentication failed"
        r"|authentication method|channel binding|expected authentication request",
        "authentication failed",
        "check user and password, and which method the server asks of this user (pg_hba.conf)",
    ),
    _kind(
        r'role "[^\n]*" does not exist',
        "the role doesn't exist",
        "check the user's name",
    ),
    _kind(
        r"is not permitted to log in",
        "the role may not log in",
        "alter role … login, or name another user",
    ),
    _kind(
        r'database "[^\n]*" does not exist',
        "the database doesn't exist",
        "check the database's name",
    ),
    _kind(
        r"permission denied for database",
        "this role may not connect to the database",
        "grant connect on the database to it",
    ),
    _kind(
        r"not (?:currently )?accepting connections",
        "the database accepts no connections",
        "ask who runs the server; it may be in maintenance",
    ),
    _limit(
        r"too many connections for role",
        "the role has as many connections as it may have",
        "wait until others have ended, or raise it: alter role … connection limit …",
    ),
    _limit(
        r"too many connections for database",
        "the database has as many connections as it may have",
        "wait until others have ended, or raise it: alter database … connection limit …",
    ),
    _limit(
        r"max_client_conn|no more connections|max clients? (?:connections )?reached"
        r"|query_wait_timeout|unable to check out",
        "the pooler has as many connections as it may have",
        "wait until others have ended, or raise the pooler's limit (PgBouncer: `max_client_conn`, "
        "`default_pool_size`)",
    ),
    _limit(
        r"too many clients|too many connections|connection slots",
        "the server has as many connections as it may have",
        "wait until others have ended, or raise the server's `max_connections`",
    ),
    _kind(
        r"system is starting up|not yet accepting|recovery",
        "the server is starting up",
        _WAIT,
    ),
    _kind(
        r"system is shutting down|terminating connection",
        "the server is shutting down",
        _WAIT,
    ),
    _kind(
        r"unsupported (?:startup parameter|frontend protocol)|unrecognized configuration parameter",
        "the server or a pooler in between refuses a setting of the connection",
        "leave out `options` in the URL; for PgBouncer: ignore_startup_parameters",
    ),
    _kind(
        r"certificate|\bssl\b.*(?:required|not support)|\btls\b|ssl error|sslmode|SSL negotiation",
        "no encrypted connection came about (TLS)",
        "check `sslmode`, `sslrootcert` and the server's certificate",
    ),
    _kind(
        r"connection refused",
        "connection refused",
        f"{_RUNS} and listens there",
    ),
    _kind(
        r"timeout expired|timed? ?out",
        "no answer in time",
        f"{_RUNS}; a firewall may be in between",
    ),
    _kind(
        r"could not translate host name|name or service not known|nodename nor servname"
        r"|temporary failure in name resolution|no address associated",
        "the host isn't known",
        "check the host's name",
    ),
    _kind(
        r"no route to host|network is (?:unreachable|down)|host is (?:unreachable|down)",
        "there is no way to the host",
        "check the host's name, and the network",
    ),
    _kind(
        r"no such file or directory",
        "there is no server at that socket",
        f"{_RUNS}",
    ),
    _kind(
        r"closed the connection|connection reset|broken pipe|EOF detected|received invalid response"
        r"|has been closed|no connection to the server",
        "the connection was closed before it was ready",
        "check host and port, and that what answers there is a running PostgreSQL",
    ),
)

_UNKNOWN = Kind(
    re.compile(""),
    "the server, or the client library, refused it",
    "psql with the same URL shows the reason",
    Unexplained,
)

# What DuckDB's scanner begins with, before the connection string.
_SCANNER = "Unable to connect to Postgres"
_CUT_OFF = re.compile(
    r"server closed the connection unexpectedly|no connection to the server"
    r"|SSL (?:SYSCALL error|connection has been closed)"
    r"|could not (?:receive|send) data (?:from|to)",
)


def kind_of(text: str) -> Kind:
    """The kind of failure that libpq, a server or DuckDB speaks of."""
    # The connection string comes first, and may hold any words.
    said = text.rpartition('": ')[2] if _SCANNER in text else text
    return next((kind for kind in _KINDS if kind.sign.search(said)), _UNKNOWN)


def is_of_connecting(text: str) -> bool:
    """Whether a text of DuckDB's is about a connection that did not come about."""
    return _SCANNER in text


def is_of_losing(text: str) -> bool:
    """Whether a text of libpq's, or of DuckDB's, is about a connection that was cut off."""
    return bool(_CUT_OFF.search(text))
