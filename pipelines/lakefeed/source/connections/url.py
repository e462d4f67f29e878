"""Parses connections: a URL, a libpq keyword string, or the fields of a dlt secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from lakefeed.errors import DeclarationError

_SCHEME = re.compile(r"^postgres(ql)?(\+\w+)?://")
_PORTS = re.compile(r"\d*(,\d*)*")
# Fields that dlt names differently than libpq.
_FIELDS = {"database": "dbname", "username": "user"}
_NO_PARAMETERS = ("drivername", "query")


def dsn_from(shown: str, connection: str, where: str = "") -> str:
    """A URL or keyword string as a DSN for libpq.

    Args:
        shown: the connection's name in messages.

    Raises:
        DeclarationError: it is neither, or its user or password isn't percent-encoded, so that
            libpq would parse a part of it as host, port or database. Contains nothing of it.
    """
    dsn = _SCHEME.sub("postgresql://", connection.strip())
    if _is_as_meant(dsn):
        try:
            parse_dsn(dsn)
        except (psycopg2.Error, ValueError):
            pass
        else:
            return dsn
    if dsn.startswith("postgresql://") and "@" in dsn:
        raise DeclarationError(
            f"{shown} seems to have a special character in its user or password that isn't "
            "percent-encoded",
            where=where,
            do="in user and password, write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23 and "
            "% as %25, such as postgresql://user:p%40ss%2Fword@host:5432/database",
        )
    raise DeclarationError(
        f"{shown} isn't a PostgreSQL URL",
        where=where,
        do="write it as postgresql://user:password@host:5432/database",
    )


def dsn_from_fields(shown: str, fields: Mapping[str, Any], where: str = "") -> str:
    """The fields of a dlt secret (`host`, `database`, `username`, `password`, …) as a DSN.

    Raises:
        DeclarationError: libpq refuses them. Contains nothing of them.
    """
    query = fields.get("query")
    given = {**fields, **(query if isinstance(query, Mapping) else {})}
    parameters = {
        _FIELDS.get(name, name): str(value)
        for name, value in given.items()
        if name not in _NO_PARAMETERS and value not in (None, "")
    }
    try:
        return make_dsn(**parameters)
    except (psycopg2.Error, TypeError, ValueError):
        pass
    raise DeclarationError(
        f"{shown} has unknown fields",
        where=where,
        do="use host, port, database, username, password and libpq's connection parameters",
    )


def _is_as_meant(dsn: str) -> bool:
    """Whether a URL's user and password seem to be percent-encoded.

    An unencoded `@` or `/` ends them early, so that libpq parses the rest as host and port.
    """
    if not dsn.startswith("postgresql://"):
        return True
    authority, _, path = dsn.removeprefix("postgresql://").partition("/")
    user, at, hosts = authority.partition("@")
    hosts = (hosts if at else user).partition("?")[0]
    # IPv6 addresses have colons within their brackets.
    ports = ",".join(host.rpartition("]")[2].partition(":")[2] for host in hosts.split(","))
    has_another_at = "@" in hosts or "@" in path.partition("?")[0]
    return not has_another_at and bool(_PORTS.fullmatch(ports))
