"""A declared table with its merged settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.document.positions import YamlPath
from lakefeed.declaration.document.written_text import WrittenText
from lakefeed.declaration.models.columns import ColumnSettings
from lakefeed.declaration.models.table_settings import (
    LOG,
    ROW_VERSION,
    Cursor,
    TableDeclaration,
)
from lakefeed.declaration.models.wal import WalSettings
from lakefeed.declaration.table_names import is_wildcard, spelled

Mode = Literal["incremental", "append", "full_refresh"]


@dataclass(frozen=True)
class Table:
    """A declared table with its merged settings. `lake_name` is unique in the lake.

    Attributes:
        origins: `file:line` of each setting that isn't a built-in default.
        paths: the YAML path of each such setting.
        max_connections: how many sessions all runs may have on its source; None for any number.
        catalogue: the table in the catalogue; None before the first sync.
        wal: how its source's log is read; None unless its changes are read from there.
        written_query: where its query is written; None for a table.
    """

    source: str
    schema: str
    name: str
    short_name: str
    mode: Mode
    settings: TableDeclaration
    origins: dict[str, str]
    paths: dict[str, YamlPath]
    where: str
    catalogue: CatalogueTable | None
    max_connections: int | None = None
    wal: WalSettings | None = None
    written_query: WrittenText | None = None

    @property
    def is_paused(self) -> bool:
        """Whether it isn't loaded until further notice (`enabled: false`)."""
        return not self.settings.enabled

    @property
    def query(self) -> str | None:
        """The query whose rows it loads, without a semicolon at its end; None for a table."""
        declared = self.settings.query
        return None if declared is None else bare_query(declared)

    @property
    def lake_name(self) -> str:
        return f"{self.source}__{self.short_name}"

    @property
    def qualified(self) -> str:
        """Its schema and name in the source, quoted as in `sources.yaml`: `public.orders`."""
        return spelled(self.schema, self.name)

    @property
    def shown(self) -> str:
        """Its name in commands and messages: `shop.orders`."""
        return f"{self.source}.{self.short_name}"

    @property
    def cursor(self) -> Cursor | None:
        """The cursor column; None for `full_refresh`, `cursor: xmin` and `cursor: wal`."""
        declared = self.settings.cursor if self.goes_on else None
        return None if declared and declared.word else declared

    @property
    def goes_on(self) -> bool:
        """Whether each load goes on from the checkpoint of the loads before."""
        return self.mode != "full_refresh"

    @property
    def appends(self) -> bool:
        """Whether it has no key, so that every row is kept (`mode: append`)."""
        return self.mode == "append"

    @property
    def reads_row_versions(self) -> bool:
        """Whether new rows are found by PostgreSQL's row versions (`cursor: xmin`)."""
        return self._is_read_by(ROW_VERSION)

    @property
    def reads_log(self) -> bool:
        """Whether changes are read from PostgreSQL's log (`cursor: wal`)."""
        return self._is_read_by(LOG)

    def _is_read_by(self, word: str) -> bool:
        declared = self.settings.cursor
        return self.mode == "incremental" and bool(declared and declared.word == word)

    @property
    def key(self) -> tuple[str, ...]:
        """The declared primary key, or the database's; empty if neither is known, and with
        `mode: append`."""
        if self.appends:
            return ()
        if self.settings.primary_key is not None:
            return self.settings.primary_key
        return self.catalogue.primary_key if self.catalogue else ()

    @property
    def sees_deletes(self) -> bool:
        """Whether rows deleted in the source are removed from staging, or marked there."""
        return self.mode == "full_refresh" or self.settings.deletes != "ignore"

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The primary key's columns as loaded; empty unless the catalogue has all of them."""
        found = [self.column(name) for name in self.key]
        known = tuple(column for column in found if column)
        return known if len(known) == len(self.key) else ()

    @property
    def each_column(self) -> dict[str, ColumnSettings]:
        """The columns with settings of their own, whether the table has them or not."""
        declared = self.settings.columns.each if self.settings.columns else {}
        return {name: settings for name, settings in declared.items() if settings}

    @property
    def secrets(self) -> list[tuple[str, str]]:
        """`file:line` of each key of a hash that the table needs, with its `${VARIABLE}`."""
        hashes = {name: column.hash for name, column in self.each_column.items()}
        return [
            (self.where_of(f"columns.{name}"), how.key)
            for name, how in hashes.items()
            if how and how.key and not self.lacks(name)
        ]

    def lacks(self, column: str) -> bool:
        """Whether the catalogue has the table without this column of the source."""
        return self.catalogue is not None and self.catalogue.column(column) is None

    def loads(self, column: str) -> bool:
        """Whether a column is loaded, by its name in the source."""
        chosen = self.settings.columns
        needed = {*self.key, *(self.cursor.columns if self.cursor else ())}
        if not chosen or column in needed:
            return True
        if chosen.include is not None:
            return column in chosen.include
        return column not in (chosen.exclude or ())

    def settings_of(self, column: str) -> ColumnSettings:
        """The settings of one column, by its name in the source."""
        return self.each_column.get(column, ColumnSettings())

    def staged_name(self, column: str) -> str:
        """A column's name in staging, by its name in the source and in raw."""
        return self.settings_of(column).name or column

    @property
    def own_columns(self) -> tuple[str, ...]:
        """The columns whose settings the table's own entry names, even to lift them."""
        own = (name for name in self.paths if name.startswith("columns.") and self.is_own(name))
        return tuple(name.removeprefix("columns.") for name in own)

    def is_own(self, setting: str) -> bool:
        """Whether the table's own entry has this setting, rather than defaults or a wildcard."""
        return is_own(self.paths.get(setting, ()))

    def as_loaded(self, column: Column) -> Column:
        """A column of the source as it arrives in the lake: with its declared type, or as text if
        it is hashed, masked or truncated."""
        settings = self.settings_of(column.name)
        declared = "text" if settings.protection else settings.type
        if settings.is_text_in_raw:
            return column
        return replace(column, type=declared) if declared else column

    def column(self, name: str) -> Column | None:
        """A column of the catalogue as it arrives in the lake."""
        found = self.catalogue.column(name) if self.catalogue else None
        return self.as_loaded(found) if found else None

    def where_in_query(self, offset: int | None) -> str:
        """`file:line:column` of a character of its query; of the whole if that isn't known."""
        assert self.written_query
        return self.written_query.where(offset)

    def where_of(self, setting: str) -> str:
        """`file:line` of a setting, or of the table's entry if the setting is a default."""
        origin = self.origins.get(setting, "default")
        return self.where if origin == "default" else origin


def bare_query(declared: str) -> str:
    """A query without a semicolon at its end, and without spaces around it."""
    return declared.strip().removesuffix(";").rstrip()


def is_own(path: YamlPath) -> bool:
    """Whether a setting at this path is in the entry of a single table."""
    return path[2:3] == ("tables",) and not is_wildcard(str(path[3]))
