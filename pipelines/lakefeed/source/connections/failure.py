"""Classifies connection failures by the message of libpq, the server or DuckDB.

Those messages may contain secrets: DuckDB repeats the whole connection string, and libpq a part of
a password that isn't percent-encoded and so is parsed as host or port. Redacting is unreliable,
since a secret can be spelled in many ways and may look like an ordinary word. So a message only
determines the kind of failure, whose text is our own; the message itself is never shown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from lakefeed.errors import SourceUnreachable


class NoSessionLeft(SourceUnreachable):
    """The role, database, server or pooler has reached its connection limit."""


class BudgetSpent(NoSessionLeft):
    """All runs together have as many sessions as `max_connections` allows."""


class ConnectionLost(SourceUnreachable):
    """The connection was closed while it was in use."""


class EndedByStandby(SourceUnreachable):
    """A statement conflicted with a standby's recovery (SQLSTATE 40001)."""


class Unexplained(SourceUnreachable):
    """The message is of no known kind; it may be in another language."""


@dataclass(frozen=True)
class Kind:
    """One kind of failure: the pattern of its messages, what happened, what to do, which error."""

    sign: re.Pattern[str]
    what: str
    do: str
    error: type[SourceUnreachable] = SourceUnreachable


_ENCODED = "in a URL, percent-encode the characters @ / : # ? % in them (@ is %40)"
_RUNS = "check host and port, and that the server is running"
_WAIT = "run again when it is up"


def _kind(sign: str, what: str, do: str) -> Kind:
    return Kind(re.compile(sign, re.IGNORECASE), what, do)


def _limit(sign: str, what: str, do: str) -> Kind:
    return replace(_kind(sign, what, do), error=NoSessionLeft)


# The first match counts: a server that refuses the login was reached, even if the same message
# reports failures for other addresses of the host.
_KINDS = (
    _kind(
        r"password authentication failed",
        "password authentication failed",
        f"check user and password; {_ENCODED}",
    ),
    _kind(
        r"no password supplied",
        "the server requires a password, and none was given",
        "add the password to the URL, or to the file in PGPASSFILE",
    ),
    _kind(
        r"no pg_hba\.conf entry .*(?:SSL off|no encryption)",
        "the server accepts no unencrypted connections from this user and host (pg_hba.conf)",
        "add `sslmode=require` to the URL, or a line to the server's pg_hba.conf",
    ),
    _kind(
        r"pg_hba\.conf (?:entry|rejects)",
        "the server accepts no connections from this user and host (pg_hba.conf)",
        "check user and database, or add a line to the server's pg_hba.conf",
    ),
    _kind(
        r"(?:peer|ident|ldap|pam|radius|cert\w*|gss\w*|sspi|scram\w*) authentication failed"
        r"|authentication method|channel binding|expected authentication request",
        "authentication failed",
        "check user and password, and the server's authentication method for this user "
        "(pg_hba.conf)",
    ),
    _kind(
        r'role "[^\n]*" does not exist',
        "the role doesn't exist",
        "check the user's name",
    ),
    _kind(
        r"is not permitted to log in",
        "the role isn't permitted to log in",
        "run `alter role … login`, or use another user",
    ),
    _kind(
        r'database "[^\n]*" does not exist',
        "the database doesn't exist",
        "check the database's name",
    ),
    _kind(
        r"permission denied for database",
        "the role isn't permitted to connect to the database",
        "run `grant connect on database … to …`",
    ),
    _kind(
        r"not (?:currently )?accepting connections",
        "the database accepts no connections",
        "ask the server's administrator; the database may be in maintenance",
    ),
    _limit(
        r"too many connections for role",
        "the role has reached its connection limit",
        "wait until other sessions end, or raise the limit: alter role … connection limit …",
    ),
    _limit(
        r"too many connections for database",
        "the database has reached its connection limit",
        "wait until other sessions end, or raise the limit: alter database … connection limit …",
    ),
    _limit(
        r"max_client_conn|no more connections|max clients? (?:connections )?reached"
        r"|query_wait_timeout|unable to check out",
        "the pooler has reached its connection limit",
        "wait until other sessions end, or raise the limit (PgBouncer: `max_client_conn`, "
        "`default_pool_size`)",
    ),
    _limit(
        r"too many clients|too many connections|connection slots",
        "the server has reached its connection limit",
        "wait until other sessions end, or raise the server's `max_connections`",
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
        "the server or a pooler refuses a connection parameter",
        "remove `options` from the URL, or set PgBouncer's `ignore_startup_parameters`",
    ),
    _kind(
        r"certificate|\bssl\b.*(?:required|not support)|\btls\b|ssl error|sslmode|SSL negotiation",
        "the TLS connection failed",
        "check `sslmode`, `sslrootcert` and the server's certificate",
    ),
    _kind(
        r"connection refused",
        "connection refused",
        f"{_RUNS} and listens there",
    ),
    _kind(
        r"timeout expired|timed? ?out",
        "the connection timed out",
        f"{_RUNS}; a firewall may block the connection",
    ),
    _kind(
        r"could not translate host name|name or service not known|nodename nor servname"
        r"|temporary failure in name resolution|no address associated",
        "the host name can't be resolved",
        "check the host name",
    ),
    _kind(
        r"no route to host|network is (?:unreachable|down)|host is (?:unreachable|down)",
        "the host is unreachable",
        "check the host name and the network",
    ),
    _kind(
        r"no such file or directory",
        "the server's socket doesn't exist",
        f"{_RUNS}",
    ),
    _kind(
        r"closed the connection|connection reset|broken pipe|EOF detected|received invalid response"
        r"|has been closed|no connection to the server",
        "the connection was closed before it was ready",
        "check that a PostgreSQL server is running at this host and port",
    ),
)

_UNKNOWN = Kind(
    re.compile(""),
    "the server or the client library refused the connection",
    "to see the reason, connect with psql and the same URL",
    Unexplained,
)

# How messages of DuckDB's scanner begin; the connection string follows.
_SCANNER = "Unable to connect to Postgres"
_CUT_OFF = re.compile(
    r"server closed the connection unexpectedly|no connection to the server"
    r"|SSL (?:SYSCALL error|connection has been closed)"
    r"|could not (?:receive|send) data (?:from|to)",
)


def kind_of(text: str) -> Kind:
    """The kind of failure that a message of libpq, a server or DuckDB reports."""
    # The scanner's messages begin with the connection string, which may contain any words.
    message = text.rpartition('": ')[2] if _SCANNER in text else text
    return next((kind for kind in _KINDS if kind.sign.search(message)), _UNKNOWN)


def is_of_connecting(text: str) -> bool:
    """Whether a message of DuckDB reports that a connection couldn't be opened."""
    return _SCANNER in text


def is_of_losing(text: str) -> bool:
    """Whether a message of libpq or DuckDB reports that an open connection was closed."""
    return bool(_CUT_OFF.search(text))
