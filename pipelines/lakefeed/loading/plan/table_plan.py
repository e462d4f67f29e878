"""What one load of one table will read: decided before anything is read, as plain data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from lakefeed.declaration.catalogue import CatalogueTable, Column, Part
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.declaration.tables import ROW_VERSION, Table
from lakefeed.errors import TableFailed
from lakefeed.loading.plan.cursor_check import WITH_ROW_VERSIONS, cursor_of
from lakefeed.loading.plan.cursors import CursorValue, as_cursor_value, in_zone
from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.source.inspection.types import CursorKind, lake_type
from lakefeed.source.predicate import single_expression

# Set in a tombstone: when the row was found to have left the source, by the source's clock.
DELETED_AT = "_deleted_at"
_WITH_HEIRS = ("table", "foreign table")
_OUR_OWN = ("_dlt_load_id", "_staged_batch", "_load_position", DELETED_AT)
_OF_HISTORY = (
    *("valid_from", "valid_to", "is_current", "loaded_at", "_changed_at", "_was_deleted"),
    *("_is_end", "_ended_at", "_next_position"),
)


@dataclass(frozen=True)
class Range:
    """A backfill: `since` inclusive, `until` exclusive. It leaves the checkpoint alone."""

    since: CursorValue | None = None
    until: CursorValue | None = None


@dataclass(frozen=True)
class TablePlan:
    """A table as it will be read: the columns in order, the key, the cursor and its kind.

    `is_kept_unique`: an index of the source lets no two rows that are read share a key, but nulls.
    `parts` hold the rows that are read, those of a view excepted.
    """

    table: Table
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    cursor: Column | None
    cursor_kind: CursorKind | None
    identity: int | None
    definition: str | None
    is_kept_unique: bool = False
    parts: tuple[Part, ...] = ()

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the key, in its order."""
        by_name = {column.name: column for column in self.columns}
        return tuple(by_name[name] for name in self.key)

    @property
    def read_as(self) -> ReadContract:
        """What the rows of this load depend on, for the next one to compare with."""
        settings, cursor = self.table.settings, self.cursor.name if self.cursor else None
        identities = {one.name: one.identity for one in self.columns if one.identity}
        return ReadContract(
            cursor=ROW_VERSION if self.table.reads_row_versions else cursor,
            key=self.key,
            where=settings.where,
            initial_value=None if self.initial_value is None else str(self.initial_value),
            columns={column.name: lake_type(column.type).duckdb for column in self.columns},
            identity=self.identity,
            identities=identities if len(identities) == len(self.columns) else None,
            definition=self.definition,
            only=settings.only,
            parts=self._noted_parts,
        )

    @property
    def _noted_parts(self) -> dict[int, int] | None:
        """What is read whole brings whatever its parts hold; those of a view aren't known."""
        is_view = self.definition is not None and not self.parts
        if self.table.mode == "full_refresh" or is_view:
            return None
        return {part.oid: part.file for part in self.parts}

    @property
    def watches_deletes(self) -> bool:
        """Whether rows that leave the source are looked for."""
        return self.table.settings.deletes != "ignore"

    @property
    def has_places(self) -> bool:
        """Whether each of its rows has a place that PostgreSQL tells."""
        live = self.table.catalogue
        has_foreign_parts = not all(part.file for part in self.parts)
        return live is not None and live.kind in WITH_ROW_VERSIONS and not has_foreign_parts

    @property
    def statement_timeout_ms(self) -> int:
        """The bound on each statement; 0 for none."""
        bound = self.table.settings.max_query_time
        return int(bound.total_seconds() * 1000) if bound else 0

    @property
    def written_columns(self) -> list[str]:
        """The columns of a raw file, in their order."""
        watched = [DELETED_AT] if self.watches_deletes else []
        return [*(column.name for column in self.columns), *watched, "_dlt_load_id"]

    @property
    def cursor_zone(self) -> str:
        """The zone that a bare timestamp is declared to be kept in; UTC for all other cursors."""
        declared = self.table.cursor.timezone if self.table.cursor else None
        return declared or "UTC"

    @property
    def initial_value(self) -> CursorValue | None:
        """The declared start of the cursor, as a value of its kind."""
        declared = self.table.cursor.initial_value if self.table.cursor else None
        local = in_zone(declared, ZoneInfo(self.cursor_zone))
        return as_cursor_value(local, self.cursor_kind) if self.cursor_kind else None


def plan_table(table: Table, live: CatalogueTable | None) -> TablePlan:
    """Holds a declaration against the live table.

    Raises:
        TableFailed: naming what is missing or unfit, the line that asks for it, and what to do.
    """
    if live is None:
        raise TableFailed(
            f"`{table.qualified}` isn't in the database, or this role can't see it",
            where=table.where,
            do="check the name, grant usage on its schema, or take the table out of sources.yaml",
        )
    _check_only(table, live)
    columns = _selected(table, live)
    key = table.settings.primary_key or live.primary_key
    _check_where(table)
    _check_key(table, live, key)
    cursor, kind = cursor_of(table, live)
    needed = {*key, *([cursor.name] if cursor else [])}
    kept = tuple(c for c in live.columns if c in columns or c.name in needed)
    _check_names(table, kept)
    return TablePlan(
        table,
        kept,
        tuple(key),
        cursor,
        kind,
        live.identity,
        live.definition,
        is_kept_unique=_is_kept_unique(table, live, key),
        parts=_parts_read(table, live),
    )


def _parts_read(table: Table, live: CatalogueTable) -> tuple[Part, ...]:
    if table.settings.only:
        return tuple(part for part in live.parts if part.oid == live.identity)
    return live.parts


def _selected(table: Table, live: CatalogueTable) -> tuple[Column, ...]:
    chosen = table.settings.columns
    names = [column.name for column in live.columns]
    asked = (chosen.include or chosen.exclude or ()) if chosen else ()
    for name in asked:
        if name not in names:
            raise TableFailed(
                f"`columns` of {table.shown} names `{name}`, which the table doesn't have",
                where=table.where_of("columns"),
                do=f"its columns are: {', '.join(names)}",
            )
    if chosen and chosen.include is not None:
        return tuple(column for column in live.columns if column.name in chosen.include)
    excluded = chosen.exclude if chosen and chosen.exclude else ()
    return tuple(column for column in live.columns if column.name not in excluded)


def _check_where(table: Table) -> None:
    reason = single_expression(table.settings.where) if table.settings.where else None
    if reason:
        raise TableFailed(
            f"`where` of {table.shown} can't be used: {reason}",
            where=table.where_of("where"),
            do="write one condition, such as: where: status <> 'draft'",
        )


def _check_only(table: Table, live: CatalogueTable) -> None:
    if table.settings.only and live.kind not in _WITH_HEIRS:
        raise TableFailed(
            f"{table.shown} is a {live.kind}, from which no table inherits: `only` means nothing "
            "for it"
            + (", and would leave out every partition" if "partition" in live.kind else ""),
            where=table.where_of("only"),
            do="take `only` out",
        )


def _check_key(table: Table, live: CatalogueTable, key: tuple[str, ...]) -> None:
    for name in key:
        if live.column(name) is None:
            raise TableFailed(
                f"`primary_key` of {table.shown} names `{name}`, which the table doesn't have",
                where=table.where_of("primary_key"),
                do=f"its columns are: {', '.join(column.name for column in live.columns)}",
            )
    if table.settings.deletes != "ignore" and not key:
        raise TableFailed(
            f"{table.shown} has no primary key, so rows that are gone can't be told",
            where=table.where_of("deletes"),
            do="name the columns that identify a row (`primary_key: [a, b]`)",
        )
    if table.settings.history and not key:
        raise TableFailed(
            f"{table.shown} has no primary key, so versions of a row can't be told from other rows",
            where=table.where_of("history"),
            do="name the columns that identify a row (`primary_key: [a, b]`)",
        )
    if table.mode == "incremental" and not key:
        raise TableFailed(
            f"{table.shown} has no primary key, so changed rows can't be told from new ones",
            where=table.where,
            do="name the columns that identify a row (`primary_key: [a, b]`), or use "
            "`mode: full_refresh`",
        )


def _is_kept_unique(table: Table, live: CatalogueTable, key: tuple[str, ...]) -> bool:
    """No index holds over the rows of tables that inherit from this one."""
    reads_heirs = live.heirs and not table.settings.only
    return not reads_heirs and any(set(columns) <= set(key) for columns in live.unique)


def unusable_columns(names: Iterable[str], *, history: bool = False) -> dict[str, str]:
    """Names of columns that the lake can't have, and why, as what follows "the table has"."""
    seen: dict[str, str] = {}
    taken = (*_OUR_OWN, *(_OF_HISTORY if history else ()))
    found = {}
    for name in names:
        first = seen.setdefault(name.lower(), name)
        if first != name:
            found[name] = f"the columns `{first}` and `{name}`, which DuckDB can't tell apart"
        elif re.search(r'["\r]', name) or not name.strip():
            found[name] = f"a column named `{name}`, which dbt can't quote"
        elif name.lower() in taken:
            found[name] = f"a column `{name}`, a name that the lake itself uses"
    return found


def _check_names(table: Table, columns: tuple[Column, ...]) -> None:
    names = [column.name for column in columns]
    for name, reason in unusable_columns(names, history=table.settings.history).items():
        raise TableFailed(
            f"{table.shown} has {reason}",
            where=table.where,
            do=f"leave it out (columns: {{exclude: [{yaml_name(name)}]}}), or read a view that "
            "names it otherwise",
        )
