"""Plans one table's load by checking its declaration against the source; plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from lakefeed.declaration.catalogue import CatalogueTable, Column, Part, Used
from lakefeed.declaration.models.table_settings import LOG, ROW_VERSION
from lakefeed.declaration.partitioning import Partition
from lakefeed.declaration.table import Table
from lakefeed.errors import TableFailed
from lakefeed.loading.plan.changed_settings import settings_of
from lakefeed.loading.plan.column_check import check_columns, protections_of, retyped_columns
from lakefeed.loading.plan.column_names import DELETED_AT, WAL_COLUMNS, check_names
from lakefeed.loading.plan.cursor_columns import WITH_ROW_VERSIONS, CursorColumns, cursor_of
from lakefeed.loading.plan.cursors import CursorValue, as_cursor_value, in_zone
from lakefeed.loading.plan.detached import check_on_detach, recorded_partitions
from lakefeed.loading.plan.key_indexes import range_key, unique_indexes
from lakefeed.loading.plan.log_check import check_readable
from lakefeed.loading.plan.query_check import statement_of
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.source.exact_cast import exact_cast
from lakefeed.source.inspection.types import CursorKind, lake_type, read_expression
from lakefeed.source.predicate import single_expression
from lakefeed.source.protection import Protection
from lakefeed.sql import literal, quote

_INHERITABLE = ("table", "foreign table")


@dataclass(frozen=True)
class Range:
    """The range of a backfill: `since` inclusive, `until` exclusive."""

    since: CursorValue | None = None
    until: CursorValue | None = None


@dataclass(frozen=True)
class TablePlan:
    """A table as it will be read: the columns in order, the key, the cursor and its kind.

    `is_kept_unique`: a unique index of the source covers the key (nulls aside). `range_key` are the
    columns of such an index that are never null, by which ranges are read in order; empty if there
    is none, or if a value of the key must not be noted. `parts` are the
    tables and partitions that hold the rows; a view or a query has none. `protections` are those of
    the columns that are hashed, masked or truncated, by name. `retyped` has the source's types of
    columns with a declared one. `uses` is what a query reads. `partitions` as in the read contract.
    """

    table: Table
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    cursor: CursorColumns | None
    cursor_kind: CursorKind | None
    identity: int | None
    definition: str | None
    is_kept_unique: bool = False
    range_key: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    protections: Mapping[str, Protection] = field(default_factory=dict)
    retyped: Mapping[str, str] = field(default_factory=dict)
    uses: tuple[Used, ...] = ()
    partitions: tuple[Partition, ...] | None = None

    def expression_of(self, column: Column) -> str:
        """The SQL that reads a column as it is loaded: exactly, converted, or protected."""
        protection, name = self.protections.get(column.name), quote(column.name)
        if protection:
            return protection.expression(name)
        if live := self.retyped.get(column.name):
            return exact_cast(name, live, column.type, self._shown_row)
        return read_expression(name, column.type)

    @property
    def _shown_row(self) -> str:
        """The SQL that ends a sentence with the key of a row: `in the row with id = 7`."""
        keys = [
            f"{literal(f'{name} = '.replace('%', ''))} || ({self.expression_of(column)})::text"
            for name, column in zip(self.key, self.key_columns, strict=True)
        ]
        listed = " || ', ' || ".join(keys)
        return f"coalesce(' in the row with ' || {listed}, '')" if keys else "''"

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key's columns in key order."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.key)

    @property
    def read_as(self) -> ReadContract:
        """What the rows of this load depend on, for the next load to compare with."""
        settings = self.table.settings
        identities = {column.name: column.identity for column in self.columns if column.identity}
        return ReadContract(
            cursor=self._recorded_cursor,
            key=self.key,
            where=settings.where,
            initial_value=None if self.initial_value is None else str(self.initial_value),
            columns={column.name: lake_type(column.type).duckdb for column in self.columns},
            identity=self.identity,
            identities=identities if len(identities) == len(self.columns) else None,
            definition=self.definition,
            only=settings.only,
            parts=self._recorded_parts,
            protected={name: how.described for name, how in self.protections.items()},
            query=statement.text if (statement := statement_of(self.table)) else None,
            partitions=self.partitions,
            timezone=self.cursor_zone if self.cursor_kind in ("timestamp", "date") else None,
            settings=settings_of(self.table),
        )

    @property
    def unread(self) -> tuple[str, ...]:
        """The columns of the table that sources.yaml excludes."""
        live = self.table.catalogue
        names = [column.name for column in live.columns] if live else []
        return tuple(name for name in names if not self.table.loads(name))

    @property
    def _recorded_cursor(self) -> str | None:
        if self.table.reads_log or self.table.reads_row_versions:
            return LOG if self.table.reads_log else ROW_VERSION
        return self.cursor.recorded if self.cursor else None

    @property
    def _recorded_parts(self) -> dict[int, int] | None:
        """The storage of each part; None for a full refresh, which reads all parts, and for views
        and queries, whose parts aren't known."""
        is_view = self.table.query or (self.definition is not None and not self.parts)
        if self.table.mode == "full_refresh" or is_view:
            return None
        return {part.oid: part.file for part in self.parts}

    @property
    def watches_deletes(self) -> bool:
        """Whether loads look for rows deleted from the source."""
        return self.table.settings.deletes != "ignore"

    @property
    def has_places(self) -> bool:
        """Whether every row has a physical location (`ctid`) to read it by."""
        live = self.table.catalogue
        has_foreign_parts = not all(part.file for part in self.parts)
        return live is not None and live.kind in WITH_ROW_VERSIONS and not has_foreign_parts

    @property
    def statement_timeout_ms(self) -> int:
        """The time limit of each statement in milliseconds; 0 for none."""
        bound = self.table.settings.max_query_time
        return int(bound.total_seconds() * 1000) if bound else 0

    @property
    def written_columns(self) -> list[str]:
        """The columns of a raw file in order."""
        of_log = list(WAL_COLUMNS) if self.table.reads_log else []
        watched = [DELETED_AT] if self.watches_deletes else []
        return [*(column.name for column in self.columns), *of_log, *watched, "_dlt_load_id"]

    @property
    def cursor_zone(self) -> str:
        """The declared time zone of a timestamp without time zone; UTC for all other cursors."""
        declared = self.table.cursor.timezone if self.table.cursor else None
        return declared or "UTC"

    @property
    def initial_value(self) -> CursorValue | None:
        """The declared initial value of the cursor, as a value of its kind."""
        declared = self.table.cursor.initial_value if self.table.cursor else None
        local = in_zone(declared, ZoneInfo(self.cursor_zone))
        return as_cursor_value(local, self.cursor_kind) if self.cursor_kind else None


def plan_table(
    table: Table, live: CatalogueTable | None, keys: Mapping[str, bytes] | None = None
) -> TablePlan:
    """Plans a load by checking a table's declaration against the live table.

    Args:
        keys: the keys of keyed hashes by column; not needed where no rows are read.

    Raises:
        TableFailed: something declared is missing or unsuitable; names the line and the remedy.
    """
    statement_of(table)
    if live is None:
        raise TableFailed(
            f"`{table.qualified}` doesn't exist in the database, or this role can't see it",
            where=table.where,
            do="check the name, grant usage on its schema, or remove the table from sources.yaml",
        )
    _check_only(table, live)
    columns = _selected(table, live)
    key = () if table.appends else table.settings.primary_key or live.primary_key
    check_columns(table, live, key)
    _check_where(table)
    check_readable(table, live, columns, key)
    _check_key(table, live, key)
    cursor, kind = cursor_of(table, live)
    needed = {*key, *(cursor.names if cursor else ())}
    kept = tuple(c for c in live.columns if c in columns or c.name in needed)
    check_names(table, kept)
    check_on_detach(table, live, key, kept)
    return TablePlan(
        table=table,
        columns=tuple(map(table.as_loaded, kept)),
        key=tuple(key),
        cursor=cursor,
        cursor_kind=kind,
        identity=live.identity,
        definition=live.definition,
        is_kept_unique=bool(unique_indexes(table, live, key)),
        range_key=range_key(table, live, key),
        parts=_parts_read(table, live),
        protections=protections_of(table, kept, keys or {}),
        retyped=retyped_columns(table, kept),
        uses=live.uses,
        partitions=recorded_partitions(table, live, kept),
    )


def _parts_read(table: Table, live: CatalogueTable) -> tuple[Part, ...]:
    if table.settings.only:
        return tuple(part for part in live.parts if part.oid == live.identity)
    return live.parts


def _selected(table: Table, live: CatalogueTable) -> tuple[Column, ...]:
    chosen = table.settings.columns
    names = [column.name for column in live.columns]
    declared = (chosen.include or chosen.exclude or ()) if chosen else ()
    for name in declared:
        if name not in names:
            raise TableFailed(
                f"`columns` of {table.shown} names `{name}`, which doesn't exist in the table",
                where=table.where_of("columns"),
                do=f"the columns are: {', '.join(names)}",
            )
    if chosen and chosen.include is not None:
        return tuple(column for column in live.columns if column.name in chosen.include)
    excluded = chosen.exclude if chosen and chosen.exclude else ()
    return tuple(column for column in live.columns if column.name not in excluded)


def _check_where(table: Table) -> None:
    reason = single_expression(table.settings.where) if table.settings.where else None
    if reason:
        raise TableFailed(
            f"`where` of {table.shown} is invalid: {reason}",
            where=table.where_of("where"),
            do="write a single condition, such as: where: status <> 'draft'",
        )


def _check_only(table: Table, live: CatalogueTable) -> None:
    if table.settings.only and live.kind not in _INHERITABLE:
        raise TableFailed(
            f"`only` doesn't apply to {table.shown}: it is a {live.kind}, which has no child tables"
            + (", and `only` would exclude every partition" if "partition" in live.kind else ""),
            where=table.where_of("only"),
            do="remove `only`",
        )


def _check_key(table: Table, live: CatalogueTable, key: tuple[str, ...]) -> None:
    for name in key:
        if live.column(name) is None:
            raise TableFailed(
                f"`primary_key` of {table.shown} names `{name}`, which doesn't exist in the table",
                where=table.where_of("primary_key"),
                do=f"the columns are: {', '.join(column.name for column in live.columns)}",
            )
    if table.settings.deletes != "ignore" and not key:
        raise TableFailed(
            f"{table.shown} has no primary key, which `deletes` needs to detect deleted rows",
            where=table.where_of("deletes"),
            do="name the columns that identify a row (`primary_key: [a, b]`)",
        )
    if table.settings.history and not key:
        raise TableFailed(
            f"{table.shown} has no primary key, which `history` needs to match the versions of a "
            "row",
            where=table.where_of("history"),
            do="name the columns that identify a row (`primary_key: [a, b]`)",
        )
    if table.mode == "incremental" and not key:
        raise TableFailed(
            f"{table.shown} has no primary key, which `mode: incremental` needs to recognize "
            "changed rows",
            where=table.where,
            do="name the columns that identify a row (`primary_key: [a, b]`); or set `mode: "
            "append` if rows are only ever inserted, `mode: full_refresh` if not",
        )
