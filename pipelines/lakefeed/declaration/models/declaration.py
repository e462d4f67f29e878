"""The keys of `sources.yaml`, as pydantic models.

The docstring below a field is its only documentation: reference.py writes it into the JSON Schema
that editors use and into docs/sources-yaml.md. It parses these files for them, since pydantic's
`use_attribute_docstrings` would take four fifths of the time that importing this module takes.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from lakefeed.declaration.models.addresses import (
    parse_connection,
    parse_remote,
    parse_snowflake,
    parse_stage,
)
from lakefeed.declaration.models.google_cloud import parse_location, parse_project
from lakefeed.declaration.models.schedules import parse_schedule
from lakefeed.declaration.models.strict import Strict
from lakefeed.declaration.models.table_settings import TableDeclaration, TableSettings
from lakefeed.declaration.models.value_types import (
    IDENTIFIER,
    Duration,
    Names,
    Text,
    folder_of_file_url,
    parse_address,
    parse_version,
    path_for_dbt,
)
from lakefeed.declaration.models.wal import Wal, WalSettings

DAG_ID = r"^[A-Za-z0-9_.-]+$"

# The settings that say where a warehouse of each type is.
_OF_TYPE = {
    "duckdb": ("path",),
    "ducklake": ("catalog_url", "data_url"),
    "spark": ("remote", "catalog"),
    "snowflake": ("url", "database", "stage"),
    "bigquery": ("project", "location"),
}


class SourceDeclaration(Strict):
    """One PostgreSQL database."""

    connection: Annotated[Text, BeforeValidator(parse_connection)] | None = None
    """The connection URL, read from an environment variable: `${VARIABLE}`. A password in the file
    is refused. Default: the dlt secret `sources.<source>.credentials`."""
    schema_: Annotated[Text, Field(alias="schema")] = "public"
    """The schema of tables that are named without one."""
    max_connections: Annotated[int, Field(ge=1, le=1000)] | None = None
    """The most sessions that all runs together have on this database, on whatever machines and in
    whatever tasks of the DAG they run. A run that finds no room waits, without a session, for up to
    half an hour. With `1`, one session keeps the snapshot and reads the tables one by one, slowly.
    Default: no such limit ([sessions](guarantees.md#sessions-and-locks))."""
    wal: Wal | None = None
    """How the log is read for tables with `cursor: wal`, as `{slot, publication, max_wal}`
    ([which cursor](cdc.md))."""
    defaults: TableSettings | None = None
    """Default settings for all tables of this source."""
    tables: dict[str, TableDeclaration | None] = Field(min_length=1)
    """The tables to load, by name: `orders`, `audit.events`, or a wildcard such as `"audit.*"`. An
    empty entry takes the defaults. The most specific entry wins. As in SQL, a part in double quotes
    is taken literally: `'"we.ird"."what?"'` is one table."""


class Raw(Strict):
    """The raw layer."""

    url: Annotated[Text, AfterValidator(folder_of_file_url)] = "data/raw"
    """A folder, or the URL of an object store: `s3://bucket/raw`, `gs://…` or `az://…`
    ([credentials and requirements](object-store.md))."""


class Warehouse(Strict):
    """The warehouse."""

    type: Literal["duckdb", "ducklake", "spark", "snowflake", "bigquery"] = "duckdb"
    """What holds staging and marts: `duckdb`, a file on one machine; `ducklake`, tables in a
    folder or an object store with a catalogue in PostgreSQL, which several machines can build and
    read; `spark`, Iceberg tables that Apache Spark builds ([Spark](spark.md)); `snowflake`, a
    database in Snowflake ([Snowflake](snowflake.md)); or `bigquery`, tables in Google BigQuery
    ([BigQuery](bigquery.md))."""
    path: Annotated[Text, AfterValidator(path_for_dbt)] = "data/warehouse.duckdb"
    """For `duckdb`: the file with staging and marts. Each build runs and is tested in a copy, which
    then replaces this file."""
    catalog_url: Annotated[Text, BeforeValidator(parse_connection)] | None = None
    """For `ducklake`: the URL of the catalogue's database, read from an environment variable:
    `${LAKE_CATALOG_URL}`."""
    data_url: Annotated[Text, AfterValidator(folder_of_file_url)] | None = None
    """For `ducklake`: the folder of the tables' files, or its URL in an object store,
    `s3://bucket/lake`. Once the lake exists, it can't be changed."""
    remote: Annotated[Text, BeforeValidator(parse_remote)] | None = None
    """For `spark`: the URL of a Spark Connect server, `sc://host:15002`, or of a Thrift server,
    `thrift://user@host:10000`. One with a token or a password is read from an environment variable:
    `${SPARK_REMOTE}`."""
    catalog: Annotated[str, Field(pattern=IDENTIFIER)] | None = None
    """For `spark`: the name of the Iceberg catalog as the server's settings have it:
    `spark.sql.catalog.<name>`."""
    url: Annotated[Text, BeforeValidator(parse_snowflake)] | None = None
    """For `snowflake`: how the account is reached, read from an environment variable:
    `${SNOWFLAKE_URL}`."""
    database: Annotated[str, Field(pattern=IDENTIFIER)] | None = None
    """For `snowflake`: the database that is the warehouse. Lakefeed needs one of its own."""
    stage: Annotated[Text, AfterValidator(parse_stage)] | None = None
    """For `snowflake`: the external stage over the raw layer, with its schema: `LANDING.RAW`."""
    project: Annotated[Text, BeforeValidator(parse_project)] | None = None
    """For `bigquery`: the ID of the Google Cloud project that holds the datasets and pays for the
    queries: `my-project`, or `${GOOGLE_CLOUD_PROJECT}`."""
    location: Annotated[Text, BeforeValidator(parse_location)] | None = None
    """For `bigquery`: where the datasets are, such as `EU` or `europe-west3`. The bucket of raw
    must be there too. Once the datasets exist, it can't be changed."""
    keep: Annotated[int, Field(ge=0)] = 3
    """How many previous versions to keep for `lakefeed rollback`."""

    @property
    def has_raws_columns(self) -> bool:
        """Whether staging has the columns of raw, with the names and types that they have there."""
        return self.type in ("spark", "snowflake", "bigquery")

    @property
    def reads_stores(self) -> bool:
        """Whether it reads raw from object stores alone."""
        return self.type == "snowflake"

    @property
    def built_on(self) -> str:
        """The machine that must build it, in words; empty if any can."""
        if self.type == "duckdb":
            return f"the machine that has the warehouse file, `{self.path}`"
        if self.data_url and "://" not in self.data_url:
            return f"a worker that has the folder of the DuckLake, `{self.data_url}`"
        return ""

    @model_validator(mode="after")
    def _fits_type(self) -> Warehouse:
        own = {name for names in _OF_TYPE.values() for name in names}
        given, wanted = self.model_fields_set & own, _OF_TYPE[self.type]
        if self.type != "duckdb" and not given.issuperset(wanted):
            needed = " and ".join(f"`{name}`" for name in wanted)
            raise ValueError(f"{needed}, which `type: {self.type}` needs")
        if given.difference(wanted):
            others = ", ".join(f"`{name}`" for name in sorted(given.difference(wanted)))
            raise ValueError(f"no {others}, which `type: {self.type}` doesn't have")
        return self


class Dag(Strict):
    """A DAG of its own for some of the tables."""

    select: Names
    """The tables that this DAG loads, as `--select` takes them: `shop.orders`, `shop`, `"shop.o*"`,
    `tag:core`. A table may be in several DAGs."""
    schedule: Annotated[str, BeforeValidator(parse_schedule)] | None = None
    """When the DAG runs, as a cron expression. `null` means manual runs only."""
    tags: tuple[Text, ...] = ("lakefeed",)
    """The DAG's tags in Airflow."""
    deadline: Duration | None = None
    """How long a run may take, counted from when it was queued, before it is late."""


class Airflow(Strict):
    """The DAG, or several."""

    dag_id: Annotated[str, Field(pattern=DAG_ID)] = "de_batch_pipeline"
    """The DAG's ID."""
    schedule: Annotated[str, BeforeValidator(parse_schedule)] | None = "0 * * * *"
    """When the DAG runs, as a cron expression. `null` means manual runs only."""
    start_date: dt.date = dt.date(2026, 1, 1)
    """The date from which Airflow schedules runs."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How many times a failed load is retried."""
    owner: str = "lakefeed"
    """The DAG's owner in Airflow."""
    tags: tuple[Text, ...] = ("lakefeed",)
    """The DAG's tags in Airflow."""
    load: Literal["per_table", "per_source"] = "per_table"
    """How loads become tasks. `per_table` has one task per table, each with its own snapshot; the
    tables of a source with `cursor: wal` share one, `<source>.wal`. `per_source` has one task per
    source, which reads all of its tables at the same snapshot."""
    transform: Literal["per_layer", "per_model"] = "per_layer"
    """How models become tasks. `per_layer` has one task for staging and one for marts; `per_model`
    has one for each model. The builds and their results are the same."""
    notify: dict[Text, dict[str, Any] | None] = Field(default={})
    """The notifiers to call when a run fails or is late, each with its arguments: Airflow's by
    class name, such as `SmtpNotifier: {to: team@example.org}`, or your own by import path, such as
    `alerts.PagerNotifier`. Keep secrets in Airflow's connections."""
    docs: bool = False
    """Write the documentation site (`lakefeed docs`) at the end of each run."""
    deadline: Duration | None = None
    """How long a run may take, counted from when it was queued, before it is late."""
    asset_events: Literal["rows", "loads"] = "rows"
    """Which loads emit the event of their table's asset, by which other DAGs can be scheduled:
    `rows` those that brought rows, `loads` all that succeeded."""
    dags: dict[Annotated[str, Field(pattern=DAG_ID)], Dag] = Field(default={})
    """DAGs of their own for some tables, by ID. `dag_id` keeps the tables that none of them
    selects."""

    @model_validator(mode="after")
    def _has_ids_of_their_own(self) -> Airflow:
        if self.dag_id in self.dags:
            raise ValueError(
                f"`dags` without `{self.dag_id}`, the DAG of all other tables (`dag_id`), whose "
                "settings are those of `airflow` itself"
            )
        return self


class Declaration(Strict):
    """The whole of `sources.yaml`."""

    version: Annotated[Literal[1], BeforeValidator(parse_version)]
    """The version of the file format: `1`."""
    raw: Raw = Raw()
    """Where the raw Parquet files are stored."""
    warehouse: Warehouse = Warehouse()
    """Where staging and marts are stored."""
    airflow: Airflow = Airflow()
    """The Airflow DAG."""
    notify: tuple[Annotated[Text, BeforeValidator(parse_address)], ...] = ()
    """Who is told when `lakefeed run`, `load` or `build` fails or recovers, or finds that a table
    changed in the source: variables such as `${SLACK_URL}`, each with the URL of a webhook, a chat
    or a mailbox ([notifications](notifications.md)). `${SLACK_URL:-}` tells nobody where the
    variable isn't set. Runs of the DAG tell as `airflow.notify` says."""
    defaults: TableSettings | None = None
    """Default settings for all tables of all sources."""
    sources: dict[Annotated[str, Field(pattern=IDENTIFIER)], SourceDeclaration] = Field(
        min_length=1
    )
    """The databases to load from, each by the name that it has in the lake."""

    def wal_of(self, source: str) -> WalSettings:
        """How the log of a source is read, whether a table of it has `cursor: wal` or not."""
        return (self.sources[source].wal or Wal()).of_source(source)
