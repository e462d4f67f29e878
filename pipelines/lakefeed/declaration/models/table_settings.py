"""The settings of a table in `sources.yaml`, as pydantic models (see declaration.py)."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator

from lakefeed.declaration.models.columns import Columns, parse_columns
from lakefeed.declaration.models.quality import Tests
from lakefeed.declaration.models.strict import Strict
from lakefeed.declaration.models.value_types import (
    IDENTIFIER,
    Duration,
    Lookback,
    Names,
    Retention,
    Share,
    ShareText,
    SizeLimit,
    Start,
    Text,
    bytes_of,
    parse_cursor_column,
    parse_shrink,
)
from lakefeed.sql import sql_name

# PostgreSQL's system column with the ID of the transaction that wrote a row version.
ROW_VERSION = "xmin"
# PostgreSQL's write-ahead log, which has every change.
LOG = "wal"
# As bare words, these are no columns.
CURSOR_WORDS = (ROW_VERSION, LOG)


class Cursor(Strict):
    """The column that increases whenever a row is inserted or updated; or several that do so
    together."""

    column: Annotated[
        str | tuple[str, ...],
        BeforeValidator(parse_cursor_column, json_schema_input_type=Text | Names),
    ]
    """The column's name. Every insert and update must set it to a higher value. Of a list of
    columns of the same type, the cursor of a row is the first value that isn't null:
    `[updated_at, created_at]`."""
    greatest: bool = False
    """Take the greatest value of several columns instead of the first that isn't null."""
    initial_value: Start | None = None
    """Where the first load starts. Rows below this value are never loaded."""
    timezone: str | None = None
    """The time zone of a `timestamp without time zone` cursor, such as `Europe/Paris`."""
    _word: str | None = PrivateAttr(None)

    @classmethod
    def of_word(cls, word: str) -> Cursor:
        """The cursor `xmin` or `wal`, which is no column, although one may have that name."""
        cursor = cls(column=word)
        cursor._word = word
        return cursor

    @property
    def word(self) -> str | None:
        """`xmin` or `wal`, if it is that and not a column."""
        return self._word

    @property
    def columns(self) -> tuple[str, ...]:
        """Its columns, in their order."""
        return (self.column,) if isinstance(self.column, str) else self.column

    @property
    def function(self) -> str | None:
        """The SQL function that makes one value of several columns; None for a single one."""
        if len(self.columns) == 1:
            return None
        return "greatest" if self.greatest else "coalesce"

    @property
    def name(self) -> str:
        """The column; of several, what their value is: `coalesce(updated_at, created_at)`."""
        if self.function is None:
            return self.columns[0]
        return f"{self.function}({', '.join(map(sql_name, self.columns))})"

    @property
    def recorded(self) -> str:
        """What manifests call it: its name, unless that would be taken for a word."""
        is_column = self.word is None and self.name in CURSOR_WORDS
        return f"{{column: {self.name}}}" if is_column else self.name

    @field_validator("greatest")
    @classmethod
    def _of_several(cls, value: bool, others: ValidationInfo) -> bool:
        if value and isinstance(others.data.get("column"), str):
            raise ValueError("a list of several columns in `column`, to take the greatest of")
        return value

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


def _parse_cursor(value: Any) -> Any:
    """Parses a column name, or a list of them, as `{column: …}`; `xmin` and `wal` alone are
    words."""
    if isinstance(value, list):
        return {"column": parse_cursor_column(value)}
    if isinstance(value, str):
        return Cursor.of_word(value) if value in CURSOR_WORDS else {"column": value}
    return value


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

    mode: Literal["incremental", "append", "full_refresh"] | None = None
    """How the table is read. `incremental` reads the rows that are new or changed since the
    checkpoint, and merges them by the primary key. `append` reads the rows that are new since the
    checkpoint and keeps each of them, without a key: for tables whose rows are only inserted, such
    as logs of events. `full_refresh` reads the whole table each time; rows that are no longer in
    the source are removed from staging. Default: `incremental` if the table has a `cursor`;
    required otherwise."""
    cursor: Annotated[
        Cursor | None,
        BeforeValidator(_parse_cursor, json_schema_input_type=Text | Names | Cursor | None),
    ] = None
    """The column that increases with every insert and update, as a name or as `{column, greatest,
    initial_value, timezone}`. It holds timestamps, dates or integers. Of a list such as
    `[updated_at, created_at]`, the first that isn't null counts. If the table has no such column,
    use `xmin`, PostgreSQL's row version: it finds every insert and update, but not
    deletes, nor a row that comes to meet `where` only because time passes, and each load scans the
    whole table. `wal` reads PostgreSQL's log instead, which has every change, deletes and all
    versions of a row included; it needs a replication slot ([which cursor](cdc.md)). A column that
    is named like one of these two is `{column: wal}`."""
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
    `full_refresh` doesn't, and `append` has none. Default: the database's primary key."""
    columns: Annotated[
        Columns | None, BeforeValidator(parse_columns, json_schema_input_type=Columns | None)
    ] = None
    """The columns to load, as `{include: [...]}` or `{exclude: [...]}`, and settings of single
    columns, such as `{email: {hash: sha256}}`. Default: all, as they are."""
    where: Text | None = None
    """Load only rows that meet this condition: one expression in the source's SQL."""
    only: bool = False
    """Read the table without the tables that inherit from it, like `select … from only`. Set it if
    child tables repeat the parent's primary key, which PostgreSQL doesn't enforce across them."""
    deletes: Literal["ignore", "remove", "mark"] = "ignore"
    """What happens in staging to a row that was deleted in the source or no longer meets `where`.
    `ignore` keeps it, `remove` removes it, and `mark` keeps it with the time in `_deleted_at`.
    `remove` and `mark` compare all primary keys in every load, which scans the key on the source:
    `lakefeed check --connect` estimates how much. With `cursor: wal`, which finds deleted rows in
    the log, the default is `remove`."""
    on_detach: Literal["keep", "remove"] | None = None
    """What happens to the rows of a partition that was detached or dropped in the source, where the
    table is partitioned by list or range on plain columns. `keep` keeps them in staging, also if
    the table is read in full; `remove` removes them, or marks them with `deletes: mark`, and they
    don't count towards `max_shrink`. Default: they count as deleted rows."""
    history: bool = False
    """Keep every loaded version of a row in `history.hst_<source>__<table>`, with the time range in
    which it was valid and the time when it was loaded. Needs a primary key. Once it is `false`, the
    next run removes the history from the warehouse; what raw has of it stays."""
    retention: Retention | None = None
    """How long raw keeps replaced row versions, such as `90d`. `lakefeed prune` deletes versions
    that were replaced longer ago than this; a row's current version is always kept, and with `mode:
    append` every row is. Default: nothing is deleted by age."""
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
    resume_above: SizeLimit = "10 GB"
    """The size above which a table's first load is committed in ranges of its key, each of about
    this size, so that a load that is killed goes on with the next range: `500 MB`, `10 GB`, `1 TB`,
    or `never`. Staging shows the table when the last range is in. For `mode: incremental`, with a
    cursor of times or dates and without `initial_value`, or `cursor: xmin`, where a unique index
    covers the key. Others are read at once: a table's own entry that sets it in vain is refused, or
    told so by its first load."""
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
    enabled: bool = True
    """Whether the table is loaded. `false` pauses it: no load, no task in Airflow, no check of its
    freshness. Its raw files, staging model and checkpoint stay as they are, and models that read it
    are built from its last state. A paused table needs no other settings: its generated models stay
    as they are without them."""

    @property
    def resume_above_bytes(self) -> int | None:
        """`resume_above` in bytes; None for never."""
        return bytes_of(self.resume_above)


class TableDeclaration(TableSettings):
    """One entry of `tables`: the settings, and the table's name in the lake."""

    name: Annotated[str, Field(pattern=IDENTIFIER)] | None = None
    """The table's name in raw, staging and commands. Default: its name in the source."""
    query: Text | None = None
    """Load the rows of this query instead of a table: one `select`, `with … select` or `values` in
    the source's SQL. The entry's name is its name in the lake. Names without a schema are looked up
    in the source's `schema` first. Only for a single table; `only` and `parallel` don't apply."""
