"""The words of `sources.yaml`. The docstring below a field is its documentation everywhere:

in the JSON Schema that editors use, and in docs/sources-yaml.md (see reference.py, which reads them
from this file: pydantic's own way of reading them is four fifths of what importing this costs).
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

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
    """The column that moves whenever a row is inserted or changed."""

    column: Text
    """The column's name. It must grow with every insert and update."""
    initial_value: Start | None = None
    """Rows below this value are never loaded: where the first load starts."""
    timezone: str | None = None
    """The time zone, such as `Europe/Paris`, that a `timestamp without time zone` is kept in."""

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
    """Which columns are loaded. Give one of the two lists."""

    include: Names | None = None
    """Only these columns, and always the primary key and the cursor."""
    exclude: Names | None = None
    """All columns but these."""


class Freshness(Strict):
    """How old the newest load of a table may grow before `lakefeed status` says so."""

    warn_after: Duration | None = None
    """Older than this is marked as late."""
    error_after: Duration | None = None
    """Older than this makes `lakefeed status` exit with 1."""


class Shrink(Strict):
    """How many rows a table may lose at once before a load of it is refused."""

    share: Share = 0.2
    """The largest share of its rows that a load may lose."""
    rows: Annotated[int, Field(ge=0)] = 100
    """A loss of fewer rows than this is accepted whatever its share, so that a table of three rows
    may lose one."""

    def allows(self, before: int, lost: int) -> bool:
        """Whether so many of the rows that there were may go; not whether all may."""
        return lost < self.rows or lost <= round(before * self.share, 6)

    @property
    def allows_all(self) -> bool:
        """Whether no row has to stay."""
        return self.share == 1


class TableSettings(Strict):
    """What can be said of one table, or in `defaults` and wildcards of many."""

    mode: Literal["incremental", "full_refresh"] | None = None
    """`incremental` reads what is new since the checkpoint; `full_refresh` reads the whole table
    each time, and rows that have vanished leave staging. Default: `incremental` where there is a
    cursor; without one the mode must be given."""
    cursor: Annotated[
        Cursor | None, BeforeValidator(parse_cursor, json_schema_input_type=Text | Cursor | None)
    ] = None
    """A column, or `{column, initial_value, timezone}`. Timestamps, dates and whole numbers. Where
    no column moves with every change: `xmin`, PostgreSQL's own row versions, which costs a scan of
    the table with every load and sees every insert and update, and nothing else: not deletes, nor
    a row that meets `where` as time goes by."""
    lookback: Lookback = dt.timedelta(0)
    """How far below the checkpoint each load starts reading: `90s`, `30m`, `2h`, `3d`; a plain
    number for a numeric cursor. Rows that are read again unchanged are not written again."""
    primary_key: Annotated[
        Names | None,
        BeforeValidator(
            lambda value: (value,) if isinstance(value, str) else value,
            json_schema_input_type=Text | Names | None,
        ),
    ] = None
    """The columns that tell rows apart. Default: the database's primary key. `incremental` needs
    one, `full_refresh` does not."""
    columns: Columns | None = None
    """Which columns are loaded. Default: all."""
    where: Text | None = None
    """A condition in the source's SQL that rows must meet, as one expression."""
    only: bool = False
    """Whether the table is read without the tables that inherit from it, as `select … from only`
    does. Its own keys don't hold over their rows."""
    deletes: Literal["ignore", "remove", "mark"] = "ignore"
    """What happens in staging to a row that has left the source, or meets `where` no longer:
    `ignore` keeps it, `remove` takes it out, `mark` keeps it with the time in `_deleted_at`. The
    latter two compare all keys with every load: one scan of the key on the source."""
    history: bool = False
    """Whether the warehouse keeps every version of a row that was loaded, in
    `history.hst_<source>__<table>`: from when to when it held, and when it was loaded. Needs a
    primary key."""
    retention: Retention | None = None
    """For how long raw can tell how the table stood, such as `90d`. `lakefeed prune` drops versions
    of rows that had been replaced before; the version that holds stays, however old. Default:
    nothing is dropped by age."""
    on_null_cursor: Literal["include", "exclude", "error"] = "include"
    """Rows without a cursor value are read with every load, never, or stop the table."""
    schema_changes: Literal["evolve", "freeze"] = "evolve"
    """`evolve` follows the source's columns; `freeze` stops the table when they change."""
    backend: Literal["duckdb", "psycopg2"] = "duckdb"
    """What reads the source: DuckDB's PostgreSQL scanner, or psycopg2, which is much slower and is
    taken, with a warning, wherever the scanner can't be loaded. Both give the same values."""
    max_query_time: Duration | None = None
    """The longest that one statement may run on the source. A big table is cut into ranges that are
    small enough for it at 20 MB/s. Default: no bound, and ranges of 1 GB at most."""
    max_lock_wait: Duration | None = None
    """The longest that another session may wait for a lock, such as for an ALTER TABLE, because the
    table is read. A read that keeps one waiting for longer gives up, names it, and is tried once
    more at a later snapshot. Default: no bound."""
    parallel: Annotated[int, Field(ge=1, le=64)] | None = None
    """How many sessions read ranges of a big table side by side, at most. Default: one for each
    core, from 2 to 4, as far as other tables leave them free."""
    max_shrink: Annotated[
        Shrink, BeforeValidator(parse_shrink, json_schema_input_type=ShareText | Shrink)
    ] = Shrink(share=0.2, rows=100)
    """How many rows a table may lose between two loads, where it is read whole or `deletes` looks
    for rows that are gone. `{share: 20%, rows: 100}` refuses a load that loses more than 20% of the
    rows, unless that is fewer than 100. A share alone, such as `5%`, has no such floor. A table
    that lost all of its rows is refused at any size, unless the share is `100%`, which refuses
    nothing. `--allow-shrink` accepts the loss once."""
    freshness: Freshness | None = None
    """How old the newest load may be."""
    tests: Tests | None = None
    """What must hold of the rows in staging. A table's own take the place of a default's."""
    tags: tuple[Text, ...] = ()
    """Words for `--select tag:WORD`."""


class TableDeclaration(TableSettings):
    """One entry below `tables`: the settings, and the table's name in the lake."""

    name: Annotated[str, Field(pattern=IDENTIFIER)] | None = None
    """The table's name in the lake. Default: the table's own name."""


class SourceDeclaration(Strict):
    """One PostgreSQL database."""

    connection: Annotated[Text, BeforeValidator(parse_connection)] | None = None
    """The connection URL, as `${VARIABLE}`: never a secret in the file. Default: dlt's secret
    `sources.<source>.credentials`."""
    schema_: Annotated[Text, Field(alias="schema")] = "public"
    """The schema of tables that are named without one."""
    defaults: TableSettings | None = None
    """Settings for all tables of this source."""
    tables: dict[str, TableDeclaration | None] = Field(min_length=1)
    """Tables by name: `orders`, `audit.events`, or wildcards such as `"audit.*"`. Empty means
    the defaults. The most specific entry wins. A part in double quotes, as in SQL, is taken as it
    is: `'"we.ird"."what?"'` is one table."""


class Raw(Strict):
    """The raw layer."""

    url: Annotated[Text, AfterValidator(folder_of_file_url)] = "data/raw"
    """A folder, or any URL of dlt's filesystem destination."""


class Warehouse(Strict):
    """The DuckDB warehouse."""

    path: Annotated[Text, AfterValidator(path_for_dbt)] = "data/warehouse.duckdb"
    """The DuckDB file with staging and marts. Each build is tested in a copy beside it, which then
    takes its place."""
    keep: Annotated[int, Field(ge=0)] = 3
    """How many of the versions before are kept, for `lakefeed rollback`."""


class Airflow(Strict):
    """The DAG."""

    dag_id: Annotated[str, Field(pattern=DAG_ID)] = "de_batch_pipeline"
    """The DAG's id."""
    schedule: str | None = "0 * * * *"
    """A cron expression; null for manual runs only."""
    start_date: dt.date = dt.date(2026, 1, 1)
    """The first day that Airflow schedules."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a failed load is tried again."""
    owner: str = "lakefeed"
    """The owner shown in Airflow."""
    tags: tuple[Text, ...] = ("lakefeed",)
    """Tags shown in Airflow."""
    load: Literal["per_table", "per_source"] = "per_table"
    """`per_table` draws a task for each table, each with a snapshot of its own; `per_source` reads
    all tables of a source in one task, at one snapshot."""
    transform: Literal["per_layer", "per_model"] = "per_layer"
    """`per_layer` draws one task for staging and one for the marts; `per_model` draws each model.
    Both build the same, in the same builds."""
    notify: dict[Text, dict[str, Any] | None] = Field(default={})
    """Who is told of a run that failed or is late: Airflow's notifiers by the name of their class,
    each with its arguments, such as `SmtpNotifier: {to: team@example.org}`. One of your own by its
    path: `alerts.PagerNotifier`. Secrets stay in Airflow's connections."""
    docs: bool = False
    """Whether each run ends by writing the site of `lakefeed docs`."""
    deadline: Duration | None = None
    """A run that hasn't ended this long after it was queued is late."""


class Declaration(Strict):
    """The whole of `sources.yaml`."""

    version: Annotated[Literal[1], BeforeValidator(parse_version)]
    """The version of this format: 1."""
    raw: Raw = Raw()
    """Where raw files go."""
    warehouse: Warehouse = Warehouse()
    """Where the warehouse is."""
    airflow: Airflow = Airflow()
    """How the DAG looks."""
    defaults: TableSettings | None = None
    """Settings for all tables of all sources."""
    sources: dict[Annotated[str, Field(pattern=IDENTIFIER)], SourceDeclaration] = Field(
        min_length=1
    )
    """The databases, by the name that they have in the lake."""
