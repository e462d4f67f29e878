"""The Spark that dbt and Lakefeed build on: its server and catalog, and how it is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from lakefeed.declaration.environment.references import for_dbt
from lakefeed.declaration.models.addresses import CONNECT, THRIFT
from lakefeed.declaration.project import Project
from lakefeed.errors import BuildFailed, SourceUnreachable
from lakefeed.source.connections.credentials import interpolate

# How times are read and written is Spark's default in none of its versions: with another zone,
# timestamps shift, and in the legacy mode dates before 1582 do, by up to ten days
# (https://spark.apache.org/docs/latest/sql-data-sources-parquet.html).
_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
}
# By scheme.
PORTS = {CONNECT: 15002, THRIFT: 10000}
# What clients append to the message of an error: where it happened within Spark.
_STACK = re.compile(r"\s*(JVM stacktrace:|\n\s*at [\w.$]+\().*", re.DOTALL)
# What a Thrift server puts before it: Java's classes, and the name of the error once more.
_CLASSES = re.compile(r"^org\.apache\.hive\.[\w.]+: Error \w+ query: (\[\w+\] )?[\w.$]+: ")


class StatementFailed(BuildFailed):
    """Spark refused a statement, or the connection to it was lost.

    Attributes:
        told: what Spark said, whole.
    """

    def __init__(self, what: str, *, where: str = "", do: str = "", told: str = "") -> None:
        super().__init__(what, where=where, do=do)
        self.told = told


@dataclass(frozen=True)
class Spark:
    """How a Spark is reached, and the Iceberg catalog in it that holds the warehouse.

    `remote` may contain a token or a password; `shown` doesn't. The names of the schemas that dbt
    builds in begin with `prefix`.
    """

    remote: str
    catalog: str
    prefix: str = ""

    @property
    def scheme(self) -> str:
        """What the server speaks: `sc://` or `thrift://`."""
        return self.remote.partition("://")[0] + "://"

    @property
    def server(self) -> str:
        """Its host, and its port if that is named."""
        place = re.split(r"[/;?#]", self.remote.partition("://")[2], maxsplit=1)[0]
        return place.rpartition("@")[2]

    @property
    def host(self) -> str:
        """Its host alone."""
        return urlsplit(f"//{self.server}").hostname or ""

    @property
    def port(self) -> int:
        """Its port. Raises ValueError if that is no number."""
        return urlsplit(f"//{self.server}").port or PORTS.get(self.scheme, 0)

    @property
    def shown(self) -> str:
        """Its address without user and parameters."""
        return self.scheme + self.server


class Answer(Protocol):
    """What a statement gave."""

    @property
    def columns(self) -> Sequence[tuple[str, str]]:
        """The name and type of each column."""

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """Its rows. Times and what is nested differ from client to client: ask for parts."""


class Session(Protocol):
    """A session on a Spark, which several threads may use.

    All methods that run a statement raise StatementFailed if Spark refuses it, or is lost.
    """

    @property
    def is_lost(self) -> bool:
        """Whether it must be opened again."""

    def run(self, sql: str) -> Answer:
        """Runs one statement."""

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one statement."""

    def arrow(self, sql: str) -> Any:
        """The rows of one query as an Arrow table in memory, all values exact."""

    def alone(self) -> Session:
        """One in which each statement sees the temporary views and settings of those before it."""

    def close(self) -> None:
        """Ends it."""


def spark_of(project: Project) -> Spark:
    """The Spark that a project declares; connects to nothing.

    Raises:
        DeclarationError: a variable of `remote` isn't set.
    """
    declared = project.declaration.warehouse
    where = project.declared.document.where(("warehouse", "remote"))
    remote = interpolate(project, declared.remote or "", where, example="sc://host:15002")
    return Spark(remote, declared.catalog or "")


def output_of_spark(project: Project) -> dict[str, Any]:
    """The output of dbt's profile; the URL of the server stays in its variable."""
    declared = project.declaration.warehouse
    return {
        "type": "lakefeed_spark",
        "remote": for_dbt(declared.remote or ""),
        "catalog": declared.catalog,
        "schema": "main",
        "threads": 1,
        "project": project.seen_from_dbt("."),
    }


def begin(run: Callable[[str], object], catalog: str) -> None:
    """Makes a new session one that keeps every promise: its settings, and its catalog."""
    # Of what other sessions write, a cache would show the state of half a minute ago.
    settings = {**_SETTINGS, f"spark.sql.catalog.{catalog}.cache-enabled": "false"}
    for name, value in settings.items():
        run(setting(name, value))
    run(f"set catalog {quoted(catalog)}")


def unreachable(spark: Spark, error: Exception) -> SourceUnreachable:
    """The error for a server that doesn't answer, or that lacks the catalog."""
    text = " ".join(str(error).split())
    if "CATALOG" in text.upper() and spark.catalog in text:
        return SourceUnreachable(
            f"the Spark at {spark.shown} has no catalog named {spark.catalog}",
            do=f"start its server with the settings `spark.sql.catalog.{spark.catalog}…` "
            "(docs/spark.md)",
        )
    kind = "Connect" if spark.scheme == CONNECT else "Thrift"
    return SourceUnreachable(
        f"can't reach the Spark at {spark.shown}: {text[:300]}",
        do=f"check that its {kind} server runs and that `warehouse.remote` is its URL",
    )


def failed(error: Exception, *, is_lost: bool) -> StatementFailed:
    """The error for a statement that failed, without the stack of Spark's process."""
    told = _CLASSES.sub("", _STACK.sub("", str(error))).strip()
    text = " ".join(told.split())
    if is_lost:
        return StatementFailed(
            f"the connection to Spark was lost: {text[:300]}",
            do="run again; nothing is lost. The log of its server says why it ended",
            told=told,
        )
    return StatementFailed(f"Spark refused a statement: {text[:1000]}", told=told)


def setting(name: str, value: str) -> str:
    """The statement that gives a setting of the session this value."""
    return f"set {quoted(name)}={value}"


def types_of(session: Session, query: str) -> dict[str, str]:
    """Spark's types of a query's columns, by name."""
    return {name: kind for name, kind, *_ in session.rows(f"describe query {query}")}


def quoted(*names: str) -> str:
    """A name with these parts as Spark has it: in backticks."""
    return ".".join(f"`{name.replace('`', '``')}`" for name in names)


def text_literal(text: str) -> str:
    """A text as a literal, in which a backslash escapes.

    Source: https://spark.apache.org/docs/latest/sql-ref-literals.html#string-literal
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def values(rows: Sequence[Sequence[str]]) -> str:
    """Rows of literals as the body of a `values` clause."""
    return ", ".join(f"({', '.join(row)})" for row in rows)
