"""A project: its folder, its declared tables and the paths that all layers use."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lakefeed.declaration.catalogue import Catalogue, read_catalogue
from lakefeed.declaration.document.loader import Declared, load_declaration
from lakefeed.declaration.environment.variables import (
    data_folder,
    refuse_unknown_environment,
    variables_of,
)
from lakefeed.declaration.models.declaration import Declaration, SourceDeclaration
from lakefeed.declaration.models.wal import WalSettings
from lakefeed.declaration.relationship_targets import refuse_undeclared_references
from lakefeed.declaration.table import Table
from lakefeed.declaration.tables import finds_active_tables, resolve_tables
from lakefeed.errors import DeclarationError


@dataclass(frozen=True)
class Location:
    """An absolute path or a URL, and the root of the project whose settings reach it."""

    url: str
    root: Path

    @property
    def is_local(self) -> bool:
        """Whether it is a folder rather than an object store."""
        return "://" not in self.url


@dataclass(frozen=True)
class Project:
    """A project folder and its declaration. Opening one neither connects nor reads a secret."""

    root: Path
    declared: Declared
    catalogue: Catalogue
    tables: tuple[Table, ...]

    @property
    def declaration(self) -> Declaration:
        return self.declared.declaration

    @property
    def raw(self) -> Location:
        """The raw layer: the declared folder as an absolute path, or the declared URL."""
        url = self.declaration.raw.url
        return Location(url if "://" in url else str(self.root / url), self.root)

    def seen_from_dbt(self, path: str) -> str:
        """A declared path or URL relative to the dbt folder, where people run `dbt build`."""
        if "://" in path or Path(path).is_absolute():
            return path
        # If the dbt folder is a symlink, `..` leads to the parent of its target.
        return os.path.relpath(self.root / path, self.dbt.resolve())

    def reference_at(self, *path: str) -> str | None:
        """The value of a setting as it is written, if it refers to variables: `${RAW_URL:-raw}`.

        Generated files have it instead of what it stands for, to be the same in each environment.
        """
        return self.declared.document.references.get(path)

    @property
    def warehouse(self) -> Path:
        """The warehouse file with symlinks resolved, so that publishing replaces their target.

        DuckDB resolves them too: it names the database and its WAL after the target.
        """
        return Path(os.path.realpath(self.root / self.declaration.warehouse.path))

    @property
    def data(self) -> Path:
        """The folder of working directories, locks and caches, all of which can be deleted."""
        return data_folder(self.root)

    @property
    def dbt(self) -> Path:
        return self.root / "dbt"

    def source(self, name: str) -> SourceDeclaration:
        return self.declaration.sources[name]

    def wal_of(self, source: str) -> WalSettings:
        """How the log of a source is read, whether a table of it has `cursor: wal` or not."""
        return self.declaration.wal_of(source)

    def tables_of(self, source: str) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.source == source)

    @property
    def active(self) -> tuple[Table, ...]:
        """The tables that are loaded: all but the paused ones (`enabled: false`)."""
        return tuple(table for table in self.tables if not table.is_paused)

    def is_idle(self, source: str) -> bool:
        """Whether nothing of a source is loaded, so that it needn't even be reached."""
        tables = self.tables_of(source)
        all_paused = bool(tables) and all(table.is_paused for table in tables)
        return all_paused and not finds_active_tables(self.declared, source)

    def table(self, lake_name: str) -> Table:
        """The table with this name in the lake, such as `shop__orders`."""
        return next(table for table in self.tables if table.lake_name == lake_name)

    def with_catalogue(self, catalogue: Catalogue) -> Project:
        """The same project with another catalogue."""
        tables = resolve_tables(self.declared, catalogue)
        return Project(self.root, self.declared, catalogue, tables)


def open_project(root: Path, *, variables_from: Path | None = None) -> Project:
    """Reads the declaration and the catalogue in `root`.

    Args:
        variables_from: the project whose variables it refers to, if `root` is a copy without them.

    Raises:
        DeclarationError: with every mistake in `sources.yaml`; or the folder's path isn't UTF-8; or
            there is no file for the environment.
    """
    root = root.resolve()
    _require_utf_8(root)
    refuse_unknown_environment(variables_from or root)
    declared = load_declaration(root, partial(variables_of, variables_from or root))
    catalogue = read_catalogue(root)
    tables = resolve_tables(declared, catalogue)
    refuse_undeclared_references(declared, tables)
    return Project(root, declared, catalogue, tables)


def _require_utf_8(root: Path) -> None:
    """DuckDB and dbt accept only paths in UTF-8."""
    try:
        str(root).encode()
    except UnicodeEncodeError:
        escaped = os.fsencode(root).decode("utf-8", "backslashreplace")
        raise DeclarationError(
            f"the path of the project folder isn't valid UTF-8: {escaped}", do="rename the folder"
        ) from None
