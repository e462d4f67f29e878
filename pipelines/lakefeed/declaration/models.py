"""The keys of `sources.yaml`, as pydantic models.

The docstring below a field is its only documentation: reference.py writes it into the JSON Schema
that editors use and into docs/sources-yaml.md. It parses this file for them, since pydantic's
`use_attribute_docstrings` would take four fifths of the time that importing this module takes.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from lakefeed.declaration.quality import Tests
from lakefeed.declaration.strict import Strict
from lakefeed.declaration.value_types import (
    IDENTIFIER,
    Duration,
    Lookback,
    Names,
    Retention,
    Share,
    ShareText,
    Start,
    Text,
    folder_of_file_url,
    parse_connection,
    parse_cursor,
    parse_shrink,
    parse_version,
    path_for_dbt,
)

DAG_ID = r"^[A-Za-z0-9_.-]+$"


class Cursor(Strict):
    """The column that increases whenever a row is inserted or updated."""

    column: Text
    """The column's name. Every insert and update must set it to a higher value."""
    initial_value: Start | None = None
    """Where the first load starts. Rows below this value are never loaded."""
    timezone: str | None = None
    """The time zone of a `timestamp without time zone` cursor, such as `Europe/Paris`."""

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        from zoneinfo import ZoneInfo

        if value is not None:
            try:
                ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                message = "a time zone of the IANA database, such as UTC or Europe/Paris"
                raise ValueError(message) from None
        return value


class Columns(Strict):
    """The columns to load: either `include` or `exclude`, not both."""

    include: Names | None = None
    """Load only these columns. The primary key and the cursor are always loaded."""
    exclude: Names | None = None
    """Load all columns except these."""


class Freshness(Strict):
    """How old a table's newest load may be before `lakefeed status` reports it."""

    warn_after: Duration | None = None
    """Report the table as late once its newest load is older than this, such as `6h`."""
    error_after: Duration | None = None
    """Make `lakefeed status` exit with code 1 once the newest load is older than this."""


class Shrink(Strict):
    """How many rows a table may lose between two loads before the load is refused."""

    share: Share = 0.2
    """The largest share of its rows that a table may lose between two loads."""
    rows: Annotated[int, Field(ge=0)] = 100
    """Losing fewer rows than this is always accepted, whatever their share, so that a table of
    three rows may lose one."""

    def allows(self, before: int, lost: int) -> bool:
        """Whether a table may lose `lost` of its `before` rows. For all, see `allows_all`."""
        return lost < self.rows or lost <= round(before * self.share, 6)

    @property
    def allows_all(self) -> bool:
        """Whether a table may lose all of its rows."""
        return self.share == 1


class TableSettings(Strict):
    """Settings of one table, or of many in `defaults` and wildcards."""

    mode: Literal["incremental", "full_refresh"] | None = None
    """How the table is read. `incremental` reads the rows that are new or changed since the
    checkpoint. `full_refresh` reads the whole table each time; rows that are no longer in the
    source are removed from staging. Default: `incremental` if the table has a `cursor`; required
    otherwise."""
    cursor: Annotated[
        Cursor | None, BeforeValidator(parse_cursor, json_schema_input_type=Text | Cursor | None)
    ] = None
    """The column that increases with every insert and update, as a name or as `{column,
    initial_value, timezone}`. It holds timestamps, dates or integers. If the table has no such
    column, use `xmin`, PostgreSQL's row version: it finds every insert and update, but not
    deletes, nor a row that comes to meet `where` only because time passes, and each load scans the
    whole table."""
    lookback: Lookback = dt.timedelta(0)
    """How far below the checkpoint each load starts reading: a duration such as `90s`, `30m`, `2h`
    or `3d`, or a number for a numeric cursor. Unchanged rows that are read again are not written
    again."""
    primary_key: Annotated[
        Names | None,
        BeforeValidator(
            lambda value: (value,) if isinstance(value, str) else value,
            json_schema_input_type=Text | Names | None,
        ),
    ] = None
    """The column or columns that identify a row. `incremental` needs a primary key;
    `full_refresh` doesn't. Default: the database's primary key."""
    columns: Columns | None = None
    """The columns to load, as `{include: [...]}` or `{exclude: [...]}`. Default: all."""
    where: Text | None = None
    """Load only rows that meet this condition: one expression in the source's SQL."""
    only: bool = False
    """Read the table without the tables that inherit from it, like `select … from only`. Set it if
    child tables repeat the parent's primary key, which PostgreSQL doesn't enforce across them."""
    deletes: Literal["ignore", "remove", "mark"] = "ignore"
    """What happens in staging to a row that was deleted in the source or no longer meets `where`.
    `ignore` keeps it, `remove` removes it, and `mark` keeps it with the time in `_deleted_at`.
    `remove` and `mark` compare all primary keys in every load, which scans the key on the
    source."""
    history: bool = False
    """Keep every loaded version of a row in `history.hst_<source>__<table>`, with the time range in
    which it was valid and the time when it was loaded. Needs a primary key."""
    retention: Retention | None = None
    """How long raw keeps replaced row versions, such as `90d`. `lakefeed prune` deletes versions
    that were replaced longer ago than this; a row's current version is always kept. Default:
    nothing is deleted by age."""
    on_null_cursor: Literal["include", "exclude", "error"] = "include"
    """What to do with rows whose cursor is null. `include` reads them in every load, `exclude`
    never reads them, and `error` fails the load."""
    schema_changes: Literal["evolve", "freeze"] = "evolve"
    """What to do when the source's columns change. `evolve` adopts the change; `freeze` fails the
    load."""
    backend: Literal["duckdb", "psycopg2"] = "duckdb"
    """What reads the source. `duckdb` is DuckDB's PostgreSQL scanner; `psycopg2` gives the same
    values but is much slower. If the scanner can't be loaded, psycopg2 is used, with a warning."""
    max_query_time: Duration | None = None
    """The longest that one statement may run on the source, such as `10m`. Large tables are read in
    ranges that fit into it at 20 MB/s. Default: no limit, and ranges of up to 1 GB."""
    max_lock_wait: Duration | None = None
    """The longest that a read of this table may block another session, such as one that waits to
    run `alter table`. A read that blocks one for longer is cancelled, names the session, and is
    retried once at a later snapshot. Default: no limit."""
    parallel: Annotated[int, Field(ge=1, le=64)] | None = None
    """The maximum number of sessions that read ranges of a large table in parallel. Default: one
    per core, at least 2 and at most 4, minus those that other tables are using."""
    max_shrink: Annotated[
        Shrink, BeforeValidator(parse_shrink, json_schema_input_type=ShareText | Shrink)
    ] = Shrink(share=0.2, rows=100)
    """How many rows a table may lose between two loads. Applies to `full_refresh`, and to `deletes:
    remove` or `mark`. `{share: 20%, rows: 100}` refuses a load in which more than 20% of the rows
    are gone, unless fewer than 100 are. A share alone, such as `5%`, sets `rows` to 0. A load in
    which all rows are gone is refused whatever the table's size; a share of `100%` accepts every
    loss. To accept a loss once, use `--allow-shrink`."""
    freshness: Freshness | None = None
    """How old the newest load may be, as `{warn_after, error_after}`."""
    tests: Tests | None = None
    """Tests of the table's rows in staging. They replace those of `defaults` and wildcards."""
    tags: tuple[Text, ...] = ()
    """Tags to select tables by: `--select tag:TAG`."""


class TableDeclaration(TableSettings):
    """One entry of `tables`: the settings, and the table's name in the lake."""

    name: Annotated[str, Field(pattern=IDENTIFIER)] | None = None
    """The table's name in raw, staging and commands. Default: its name in the source."""


class SourceDeclaration(Strict):
    """One PostgreSQL database."""

    connection: Annotated[Text, BeforeValidator(parse_connection)] | None = None
    """The connection URL, read from an environment variable: `${VARIABLE}`. A password in the file
    is refused. Default: the dlt secret `sources.<source>.credentials`."""
    schema_: Annotated[Text, Field(alias="schema")] = "public"
    """The schema of tables that are named without one."""
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

    type: Literal["duckdb", "ducklake"] = "duckdb"
    """What holds staging and marts: `duckdb`, a file on one machine, or `ducklake`, tables in a
    folder or an object store with a catalogue in PostgreSQL, which several machines can build and
    read."""
    path: Annotated[Text, AfterValidator(path_for_dbt)] = "data/warehouse.duckdb"
    """For `duckdb`: the file with staging and marts. Each build runs and is tested in a copy, which
    then replaces this file."""
    catalog_url: Annotated[Text, BeforeValidator(parse_connection)] | None = None
    """For `ducklake`: the URL of the catalogue's database, read from an environment variable:
    `${LAKE_CATALOG_URL}`."""
    data_url: Annotated[Text, AfterValidator(folder_of_file_url)] | None = None
    """For `ducklake`: the folder of the tables' files, or its URL in an object store,
    `s3://bucket/lake`. Once the lake exists, it can't be changed."""
    keep: Annotated[int, Field(ge=0)] = 3
    """How many previous versions to keep for `lakefeed rollback`."""

    @model_validator(mode="after")
    def _fits_type(self) -> Warehouse:
        given = self.model_fields_set & {"path", "catalog_url", "data_url"}
        wanted = {"catalog_url", "data_url"} if self.type == "ducklake" else {"path"}
        if self.type == "ducklake" and not wanted <= given:
            raise ValueError("`catalog_url` and `data_url`, which `type: ducklake` needs")
        if given - wanted:
            others = ", ".join(f"`{name}`" for name in sorted(given - wanted))
            raise ValueError(f"no {others}, which `type: {self.type}` doesn't have")
        return self


class Airflow(Strict):
    """The DAG."""

    dag_id: Annotated[str, Field(pattern=DAG_ID)] = "de_batch_pipeline"
    """The DAG's ID."""
    schedule: str | None = "0 * * * *"
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
    """How loads become tasks. `per_table` has one task per table, each with its own snapshot.
    `per_source` has one task per source, which reads all of its tables at the same snapshot."""
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
    defaults: TableSettings | None = None
    """Default settings for all tables of all sources."""
    sources: dict[Annotated[str, Field(pattern=IDENTIFIER)], SourceDeclaration] = Field(
        min_length=1
    )
    """The databases to load from, each by the name that it has in the lake."""
