"""A declared table with its merged settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.document.positions import YamlPath
from lakefeed.declaration.models.table_settings import Cursor, TableDeclaration
from lakefeed.declaration.table_names import spelled

Mode = Literal["incremental", "full_refresh"]

# PostgreSQL's system column with the ID of the transaction that wrote a row version.
ROW_VERSION = "xmin"


@dataclass(frozen=True)
class Table:
    """A declared table with its merged settings. `lake_name` is unique in the lake.

    Attributes:
        origins: `file:line` of each setting that isn't a built-in default.
        paths: the YAML path of each such setting.
        catalogue: the table in the catalogue; None before the first sync.
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

    @property
    def is_paused(self) -> bool:
        """Whether it isn't loaded until further notice (`enabled: false`)."""
        return not self.settings.enabled

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
        """The cursor column; None for `full_refresh` and `cursor: xmin`."""
        declared = self.settings.cursor if self.mode == "incremental" else None
        return None if self.reads_row_versions else declared

    @property
    def reads_row_versions(self) -> bool:
        """Whether new rows are found by PostgreSQL's row versions (`cursor: xmin`)."""
        declared = self.settings.cursor
        return self.mode == "incremental" and bool(declared and declared.column == ROW_VERSION)

    @property
    def key(self) -> tuple[str, ...]:
        """The declared primary key, or the database's; empty if neither is known."""
        if self.settings.primary_key is not None:
            return self.settings.primary_key
        return self.catalogue.primary_key if self.catalogue else ()

    @property
    def sees_deletes(self) -> bool:
        """Whether rows deleted in the source are removed from staging, or marked there."""
        return self.mode == "full_refresh" or self.settings.deletes != "ignore"

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The primary key's columns; empty unless the catalogue has all of them."""
        found = [self.catalogue.column(name) for name in self.key] if self.catalogue else []
        known = tuple(column for column in found if column)
        return known if len(known) == len(self.key) else ()

    def where_of(self, setting: str) -> str:
        """`file:line` of a setting, or of the table's entry if the setting is a default."""
        origin = self.origins.get(setting, "default")
        return self.where if origin == "default" else origin
