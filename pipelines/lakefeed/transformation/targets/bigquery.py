"""The BigQuery that dbt and Lakefeed build on: a project whose datasets are the schemas."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakefeed.declaration.environment.references import for_dbt
from lakefeed.declaration.project import Project
from lakefeed.errors import BuildFailed, ExtraMissing, SourceUnreachable
from lakefeed.source.connections.credentials import interpolate

if TYPE_CHECKING:
    from google.cloud.bigquery import Client, LoadJob

# As Google's other clients have it for their emulators; BigQuery's asks an emulator for its tables,
# and Google for a token.
_EMULATOR = "BIGQUERY_EMULATOR_HOST"
# What the client appends to the message of a query's error.
_ECHO = re.compile(r"\s*(-----Query Job SQL Follows-----|Location: \S+\s*Job ID:).*", re.DOTALL)
# https://cloud.google.com/bigquery/quotas#load_jobs
_MOST_FILES = 10_000
_clients: dict[BigQuery, Client] = {}


class StatementFailed(BuildFailed):
    """BigQuery refused a statement or a load job."""


@dataclass(frozen=True)
class BigQuery:
    """The project that holds the warehouse, and where its data is.

    The names of the datasets that dbt builds in begin with `prefix`.
    """

    project: str
    location: str
    prefix: str = ""


def bigquery_of(project: Project) -> BigQuery:
    """The BigQuery that a project declares; connects to nothing.

    Raises:
        DeclarationError: a variable of `project` isn't set.
    """
    declared = project.declaration.warehouse
    where = project.declared.document.where(("warehouse", "project"))
    name = interpolate(project, declared.project or "", where, example="my-project")
    return BigQuery(name, declared.location or "")


def output_of_bigquery(project: Project) -> dict[str, Any]:
    """The output of dbt's profile; credentials are where Google's clients look for them."""
    declared = project.declaration.warehouse
    return {
        "type": "lakefeed_bigquery",
        "database": for_dbt(declared.project or ""),
        "location": declared.location,
        "schema": "main",
        "threads": 1,
        "folder": project.seen_from_dbt("."),
    }


def open_client(bigquery: BigQuery) -> Client:
    """The client of this process for a project; all that this process does there shares it.

    Raises:
        ExtraMissing: the client isn't installed.
        SourceUnreachable: no credentials were found.
    """
    try:
        from google.auth.credentials import AnonymousCredentials
        from google.auth.exceptions import GoogleAuthError
        from google.cloud.bigquery import Client
    except ImportError:
        raise ExtraMissing(
            "`warehouse: {type: bigquery}` needs the packages dbt-bigquery and "
            "google-cloud-bigquery",
            do="install them: pip install 'lakefeed[bigquery]'",
        ) from None
    if bigquery not in _clients:
        known = AnonymousCredentials() if os.environ.get(_EMULATOR) else None
        try:
            _clients[bigquery] = Client(
                project=bigquery.project, location=bigquery.location, credentials=known
            )
        except (GoogleAuthError, OSError) as error:
            raise unreachable(bigquery, error) from None
    return _clients[bigquery]


def unreachable(bigquery: BigQuery, error: Exception) -> SourceUnreachable:
    """The error for a project that can't be asked."""
    return SourceUnreachable(
        f"can't reach BigQuery's project {bigquery.project}: {told(error)}",
        do="give access as Google's clients expect it: GOOGLE_APPLICATION_CREDENTIALS, or "
        "`gcloud auth application-default login` (docs/bigquery.md)",
    )


def rows_of(client: Client, sql: str) -> list[tuple[Any, ...]]:
    """Runs one statement, or a script of several; returns the rows of the last.

    Raises:
        StatementFailed: BigQuery refuses it.
        SourceUnreachable: it can't be reached.
    """
    with translated(client):
        return [tuple(row.values()) for row in client.query(sql).result()]


def arrow_of(client: Client, sql: str) -> Any:
    """The rows of one statement as an Arrow table in memory.

    Raises:
        StatementFailed: BigQuery refuses it.
        SourceUnreachable: it can't be reached.
    """
    with translated(client):
        found = client.query(sql).result().to_arrow(create_bqstorage_client=False)
    return _without_wide_decimals(found)


def columns_of(client: Client, sql: str) -> list[str]:
    """The names of a query's columns; the query isn't run, and costs nothing.

    Raises:
        StatementFailed: BigQuery refuses it.
        SourceUnreachable: it can't be reached.
    """
    from google.cloud.bigquery import QueryJobConfig

    with translated(client):
        job = client.query(sql, job_config=QueryJobConfig(dry_run=True))
        return [field.name for field in job.schema]


def load_parquet(
    client: Client, table: str, columns: Mapping[str, str], uris: Sequence[str]
) -> None:
    """Appends the rows of files to a table, which is created if it doesn't exist.

    Args:
        table: as `dataset.name`.
        columns: the types, by name, of what is loaded; files may have others, too.

    Raises:
        StatementFailed: BigQuery refuses it.
        SourceUnreachable: it can't be reached.
    """
    with translated(client):
        for job in start_loading(client, table, columns, uris):
            job.result()


def start_loading(
    client: Client, table: str, columns: Mapping[str, str], uris: Sequence[str]
) -> list[LoadJob]:
    """Starts what `load_parquet` does, by as few jobs as may be; all of them must end well."""
    from google.cloud.bigquery import LoadJobConfig, SchemaField, SourceFormat, WriteDisposition

    options = LoadJobConfig(
        source_format=SourceFormat.PARQUET,
        schema=[SchemaField(name, kind.upper()) for name, kind in columns.items()],
        write_disposition=WriteDisposition.WRITE_APPEND,
        ignore_unknown_values=True,
    )
    target = f"{client.project}.{table}"
    return [
        client.load_table_from_uri(uris[at : at + _MOST_FILES], target, job_config=options)
        for at in range(0, len(uris), _MOST_FILES)
    ]


def _without_wide_decimals(rows: Any) -> Any:
    """The same with texts for decimals that DuckDB doesn't have: those of `bignumeric`."""
    import pyarrow as pa

    for place, field in enumerate(rows.schema):
        if pa.types.is_decimal256(field.type):
            values = (None if v is None else f"{v:f}" for v in rows.column(place).to_pylist())
            texts = (v and (v.rstrip("0").rstrip(".") if "." in v else v) for v in values)
            rows = rows.set_column(place, field.name, pa.array(texts, pa.string()))
    return rows


@contextmanager
def translated(client: Client) -> Iterator[None]:
    """Raises what the client raises as an error of ours."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    try:
        yield
    except (GoogleAuthError, RequestException) as error:
        raise unreachable(BigQuery(str(client.project), ""), error) from error
    except GoogleAPIError as error:
        raise StatementFailed(f"BigQuery refused a statement: {told(error)}") from error


def told(error: Exception) -> str:
    """What BigQuery says of an error, without the statement and the address of its API."""
    text = _ECHO.sub("", str(getattr(error, "message", "") or error))
    return " ".join(text.split())[:1000]


def quoted(*names: str) -> str:
    """A name with these parts as BigQuery has it: in backticks, in which a backslash escapes."""
    return ".".join("`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`" for name in names)


def text_literal(text: str) -> str:
    """A text as a literal, in which a backslash escapes and a line may not end.

    Source: https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#string_and_bytes_literals
    """
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return "'" + escaped.replace("\n", "\\n").replace("\r", "\\r") + "'"
