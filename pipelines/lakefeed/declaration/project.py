"""The one object that all layers share: a project's folder, its tables, and where things lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lakefeed.declaration.catalogue import Catalogue, read_catalogue
from lakefeed.declaration.document.loader import Declared, load_declaration
from lakefeed.declaration.models import Declaration, SourceDeclaration
from lakefeed.declaration.relationship_targets import refuse_undeclared_references
from lakefeed.declaration.tables import Table, resolve_tables
from lakefeed.errors import DeclarationError


@dataclass(frozen=True)
class Project:
    """A project folder as declared. Opening one connects to nothing and reads no secret."""

    root: Path
    declared: Declared
    catalogue: Catalogue
    tables: tuple[Table, ...]

    @property
    def declaration(self) -> Declaration:
        return self.declared.declaration

    @property
    def raw_url(self) -> str:
        """The raw layer as an absolute path, or as the URL that was declared."""
        url = self.declaration.raw.url
        return url if "://" in url else str(self.root / url)

    def seen_from_dbt(self, path: str) -> str:
        """A declared path or URL as seen from the dbt folder, where plain `dbt build` starts."""
        if "://" in path or Path(path).is_absolute():
            return path
        # The folder may be a link to another place, which `..` leads out of.
        return os.path.relpath(self.root / path, self.dbt.resolve())

    @property
    def warehouse(self) -> Path:
        """The file itself, through links: it is replaced beside where it lies, and links stay.

        DuckDB does so too: it names the database and its log after the file, not after a link.
        """
        return Path(os.path.realpath(self.root / self.declaration.warehouse.path))

    @property
    def data(self) -> Path:
        """Working directories, locks and caches: everything that can be thrown away."""
        return self.root / "data"

    @property
    def dbt(self) -> Path:
        return self.root / "dbt"

    def source(self, name: str) -> SourceDeclaration:
        return self.declaration.sources[name]

    def tables_of(self, source: str) -> tuple[Table, ...]:
        return tuple(table for table in self.tables if table.source == source)

    def table(self, lake_name: str) -> Table:
        """The table with this name in the lake, such as `shop__orders`."""
        return next(table for table in self.tables if table.lake_name == lake_name)

    def with_catalogue(self, catalogue: Catalogue) -> Project:
        """The same project, seen with another catalogue."""
        tables = resolve_tables(self.declared, catalogue)
        return Project(self.root, self.declared, catalogue, tables)


def open_project(root: Path) -> Project:
    """Reads the declaration and the catalogue in `root`.

    Raises:
        DeclarationError: with every mistake in `sources.yaml`, or the folder's name can't be said.
    """
    root = root.resolve()
    _refuse_what_is_not_utf_8(root)
    declared = load_declaration(root)
    catalogue = read_catalogue(root)
    tables = resolve_tables(declared, catalogue)
    refuse_undeclared_references(declared, tables)
    return Project(root, declared, catalogue, tables)


def _refuse_what_is_not_utf_8(root: Path) -> None:
    """DuckDB and dbt take names of files as UTF-8."""
    try:
        str(root).encode()
    except UnicodeEncodeError:
        shown = os.fsencode(root).decode("utf-8", "backslashreplace")
        raise DeclarationError(
            f"the project's folder has a name that isn't UTF-8: {shown}", do="rename it"
        ) from None
