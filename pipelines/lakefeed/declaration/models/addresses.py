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


# How clients of a Thrift server name it.
THRIFT = ("thrift://", "jdbc:", "hive2://")
BESIDE_THRIFT = (
    "Lakefeed can't build through a Thrift server: start Spark's Connect server on the same "
    "cluster (docs/spark.md)"
)


def parse_remote(value: Any) -> Any:
    """Checks the URL of a Spark Connect server.

    Source: https://github.com/apache/spark/blob/master/sql/connect/docs/client-connection-string.md
    """
    rest = with_defaults(value, without="sc://host") if isinstance(value, str) else ""
    if not rest.startswith("sc://"):
        beside = f". {BESIDE_THRIFT}" if rest.startswith(THRIFT) else ""
        raise ValueError(f"the URL of a Spark Connect server, such as sc://host:15002{beside}")
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
