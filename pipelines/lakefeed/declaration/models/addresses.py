"""Parsers of what `sources.yaml` says of databases and servers: their URLs, and names in them.

A parser's ValueError is what was expected, as the message reads "found …, expected …".
"""

from __future__ import annotations

import re
from typing import Any

from lakefeed.declaration.environment.references import with_defaults

_BARE_REFERENCE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_STAGE = re.compile(r"^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*){1,2}$")


def parse_connection(value: Any) -> Any:
    """Checks a connection URL's references to environment variables, and its scheme."""
    rest = with_defaults(value) if isinstance(value, str) else ""
    if "${" in rest:
        raise ValueError(
            "a variable name of letters, digits and underscores, such as ${DATABASE_URL}"
        )
    if bare := _BARE_REFERENCE.search(rest):
        raise ValueError(f"the variable in braces, ${{{bare[1]}}} (write a literal `$` as %24)")
    scheme = _SCHEME.match(rest)
    if scheme and not scheme[1].startswith("postgres"):
        raise ValueError("a PostgreSQL URL, such as postgresql://user@host:5432/database")
    return value


# What the URL of a Spark begins with: that of a Connect server, or of a Thrift server.
CONNECT = "sc://"
THRIFT = "thrift://"


def parse_remote(value: Any) -> Any:
    """Checks the URL of a Spark Connect server or a Thrift server.

    Source: https://github.com/apache/spark/blob/master/sql/connect/docs/client-connection-string.md
    """
    rest = with_defaults(value, without=CONNECT) if isinstance(value, str) else ""
    if not rest.startswith((CONNECT, THRIFT)):
        raise ValueError(
            "the URL of a Spark Connect server, such as sc://host:15002, or of a Thrift server, "
            "such as thrift://user@host:10000"
        )
    return value


def parse_snowflake(value: Any) -> Any:
    """Checks the URL of a Snowflake account, as its SQLAlchemy dialect has it, without a database.

    Source: https://docs.snowflake.com/en/developer-guide/python-connector/sqlalchemy
    """
    rest = with_defaults(value, without="snowflake://x") if isinstance(value, str) else ""
    if not rest.startswith("snowflake://"):
        raise ValueError(
            "a variable such as ${SNOWFLAKE_URL}, or the URL of an account, such as "
            "snowflake://user@organization-account?warehouse=LOADING&role=LAKEFEED"
        )
    return value


def parse_stage(value: str) -> str:
    """Checks the name of a stage, which is written without quotes."""
    if not _STAGE.match(value):
        raise ValueError("the name of a stage, such as LANDING.RAW or ANALYTICS.LANDING.RAW")
    return value
