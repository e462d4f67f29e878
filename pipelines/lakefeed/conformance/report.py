"""The report of a conformance test: a document without paths, hosts and secrets.

data/conformance/ducklake-2026-11-30T1015Z.json
"""

from __future__ import annotations

import datetime as dt
import getpass
import platform
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urlsplit

from psycopg2.extensions import parse_dsn

from lakefeed import __version__
from lakefeed.conformance.suite import Outcome
from lakefeed.declaration.environment.env_file import read_variables
from lakefeed.declaration.environment.variables import variables_file
from lakefeed.declaration.project import Project
from lakefeed.documents import Format
from lakefeed.loading.dlt_settings.schemes import scheme_of
from lakefeed.source.connections.connection import catalogue_connection
from lakefeed.textfile import replace_text
from lakefeed.transformation.targets.bigquery import bigquery_of
from lakefeed.transformation.targets.snowflake import connection_arguments, snowflake_of
from lakefeed.transformation.targets.spark import spark_of
from lakefeed.transformation.warehouse.base.warehouse import Inspection

_ADAPTERS = {
    "duckdb": "dbt-duckdb",
    "ducklake": "dbt-duckdb",
    "spark": "dbt-spark",
    "snowflake": "dbt-snowflake",
    "bigquery": "dbt-bigquery",
}
_HIDDEN = "<hidden>"
_LONGEST_REASON = 600
_SHORTEST_SECRET = 4
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*:(?://|/)\S+", re.IGNORECASE)
_PATH = re.compile(r"(?<![\w.<])/(?:[^\s/'\",;:()]+/)+[^\s/'\",;:()]*")
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b")


@dataclass(frozen=True)
class PromiseReport:
    """How one promise ended. `why` is empty if it was kept."""

    name: str
    area: str
    is_kept: bool
    seconds: float
    why: str = ""


@dataclass(frozen=True)
class ConformanceReport:
    """What was tested where, and how each promise ended.

    Attributes:
        type: of the warehouse, as declared.
        engine: with its version and that of what it depends on.
        adapter: dbt's adapter and its version.
        raw: the kind of place of the raw layer: `folder`, or a scheme such as `s3`.
    """

    lakefeed: str
    type: str
    engine: str
    adapter: str
    raw: str
    platform: str
    tested_at: dt.datetime
    promises: tuple[PromiseReport, ...]

    @property
    def is_passed(self) -> bool:
        return all(promise.is_kept for promise in self.promises)


REPORT = Format(ConformanceReport, "conformance report", indent=2)


def report_of(
    project: Project, found: Inspection, outcomes: Sequence[Outcome]
) -> ConformanceReport:
    """The report of these outcomes, as of now."""
    kind = project.declaration.warehouse.type
    adapter, hidden = _ADAPTERS[kind], sorted(_secrets(project, found), key=len, reverse=True)
    return ConformanceReport(
        lakefeed=__version__,
        type=kind,
        engine=f"{found.engine} {found.version}",
        adapter=f"{adapter} {version(adapter)}",
        raw="folder" if project.raw.is_local else scheme_of(project.raw) or "other",
        platform=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        tested_at=dt.datetime.now(dt.UTC).replace(second=0, microsecond=0),
        promises=tuple(
            PromiseReport(
                name=outcome.promise.name,
                area=outcome.promise.area,
                is_kept=outcome.is_kept,
                seconds=round(outcome.seconds, 1),
                why=without_secrets(outcome.why, hidden)[:_LONGEST_REASON],
            )
            for outcome in outcomes
        ),
    )


def write_report(project: Project, report: ConformanceReport) -> Path:
    """Writes it to a file below `data/conformance`, named by type and time."""
    name = f"{report.type}-{report.tested_at:%Y-%m-%dT%H%MZ}.json"
    path = project.data / "conformance" / name
    replace_text(path, REPORT.text(report) + "\n", durable=False)
    return path


def recorded_reports() -> list[ConformanceReport]:
    """The reports on record, of which docs/engines.md is made, by type and time."""
    folder = files("lakefeed.conformance") / "recorded"
    found = [
        REPORT.read(file.read_text(encoding="utf-8"), file.name)
        for file in folder.iterdir()
        if file.name.endswith(".json")
    ]
    return sorted(found, key=lambda report: (report.type, report.tested_at))


def without_secrets(text: str, hidden: Sequence[str]) -> str:
    """The text without these values, and without anything that looks like a path or an address."""
    for value in hidden:
        text = text.replace(value, _HIDDEN)
    for pattern in (_URL, _PATH, _ADDRESS):
        text = pattern.sub(_HIDDEN, text)
    return re.sub(f"({_HIDDEN})+", _HIDDEN, text)


def _secrets(project: Project, found: Inspection) -> Iterator[str]:
    """What tells of this account and machine."""
    declared, variables = project.declaration.warehouse, variables_file(project.root)
    values = [
        str(project.root), str(Path.home()), socket.gethostname(), getpass.getuser(),
        project.raw.url, found.place, declared.data_url, *read_variables(variables).values(),
    ]  # fmt: skip
    if declared.type == "ducklake":
        given = parse_dsn(catalogue_connection(project).dsn)
        values += [given.get(name) for name in ("host", "user", "password", "dbname")]
    if declared.type == "snowflake":
        account = connection_arguments(snowflake_of(project).url)
        values += [str(value) for value in account.values()]
        values += [declared.database, declared.stage]
    if declared.type == "spark":
        spark = spark_of(project)
        values += [spark.remote, spark.server, spark.host, *_login(spark.remote)]
    if declared.type == "bigquery":
        values.append(bigquery_of(project).project)
    yield from (value for value in values if value and len(value) >= _SHORTEST_SECRET)


def _login(url: str) -> Iterator[str | None]:
    """The user and password in a URL, as written there and as they are."""
    parts = urlsplit(url)
    for text in (parts.username, parts.password):
        yield from (text, unquote(text)) if text else ()
