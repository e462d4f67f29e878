"""`sources.lock.yaml`: what only the database knows, as of the last sync.

Written by `lakefeed sync` and by `lakefeed run`, reviewed and committed by people. Staging models
and the DAG are made from it, so that neither needs a connection.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakefeed.declaration.document.positions import read_document
from lakefeed.declaration.document.quoting import yaml_text
from lakefeed.declaration.table_names import spelled, split
from lakefeed.documents import refuse_newer
from lakefeed.errors import DeclarationError

CATALOGUE_FILE = "sources.lock.yaml"
_VERSION = 1

_HEADER = (
    "# Written by `lakefeed sync`: what sources.yaml meant when the databases were last asked.\n"
    "# Review and commit it; don't edit it.\n"
)


MONEY = "money"


@dataclass(frozen=True)
class ColumnIdentity:
    """What a column is, whatever its name: where one of these differs, its values may.

    `number` is the column's own within its table, for life. `type` is what its type is made of,
    domains resolved. `members` are the labels of enums and the attributes of composite types in
    it, by numbers that they keep, and as `MONEY` how amounts in it are written. `expression` is
    that of a generated column.
    """

    number: int
    type: str
    members: dict[str, str] = field(default_factory=dict)
    expression: str | None = None


@dataclass(frozen=True)
class Column:
    """A column of the source, with its type as PostgreSQL writes it: `numeric(10,2)`.

    `identity` is known while the column is looked at live; the file doesn't keep it.
    """

    name: str
    type: str
    nullable: bool
    identity: ColumnIdentity | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Part:
    """What holds rows of a table: a partition, a table that inherits from it, or it itself.

    `oid` is its own for life; `file` is that of its storage, which TRUNCATE and whatever rewrites
    it replace. `is_readable`: this role sees all rows of it without the table above it.
    """

    oid: int
    file: int
    schema: str
    name: str
    is_readable: bool


@dataclass(frozen=True)
class CatalogueTable:
    """A table of the source: its columns in order and its primary key (empty where none).

    The file doesn't keep the rest, which is known while the table is looked at live: `identity` is
    its oid; `unique` are the sets of columns that an index keeps unique, nulls aside; `heirs` are
    the tables that inherit from it, over whose rows no index of its own holds; `definition` is a
    fingerprint of what a view or a foreign table shows; `parts` hold its rows, those of a view
    excepted.
    """

    schema: str
    name: str
    kind: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    identity: int | None = field(default=None, compare=False)
    unique: tuple[tuple[str, ...], ...] = field(default=(), compare=False)
    heirs: tuple[str, ...] = field(default=(), compare=False)
    definition: str | None = field(default=None, compare=False)
    parts: tuple[Part, ...] = field(default=(), compare=False)

    @property
    def qualified(self) -> str:
        return spelled(self.schema, self.name)

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Catalogue:
    """Tables by source, then by qualified name (`public.orders`)."""

    sources: dict[str, dict[str, CatalogueTable]] = field(default_factory=dict)

    def table(self, source: str, qualified: str) -> CatalogueTable | None:
        return self.sources.get(source, {}).get(qualified)

    def with_tables(self, source: str, tables: dict[str, CatalogueTable]) -> Catalogue:
        """A catalogue in which these are all the tables of the source."""
        return Catalogue({**self.sources, source: tables})


def read_catalogue(root: Path) -> Catalogue:
    """The catalogue of a project; an empty one where it was never synced.

    Raises:
        DeclarationError: the file was edited into something else.
        NewerFormat: a newer version wrote it.
    """
    path = root / CATALOGUE_FILE
    if not path.exists():
        return Catalogue()
    document = read_document(path, CATALOGUE_FILE)
    if document.problems:
        raise DeclarationError(problems=document.problems)
    data = document.data
    try:
        wrote, where = data.get("version", _VERSION), document.where(("version",))
        refuse_newer("catalogue", wrote, reads=str(_VERSION), where=where)
        return Catalogue(
            {
                source: {
                    table.qualified: table
                    for table in (_table_from(*named) for named in (tables or {}).items())
                }
                for source, tables in data["sources"].items()
            }
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise DeclarationError(
            "this isn't a catalogue as `lakefeed sync` writes it",
            where=CATALOGUE_FILE,
            do="delete the file and run: lakefeed sync",
        ) from None


def catalogue_text(catalogue: Catalogue) -> str:
    """The file's text: sorted, so that a diff shows what changed in the database."""
    sources = {
        source: {qualified: _table_entry(table) for qualified, table in sorted(tables.items())}
        for source, tables in sorted(catalogue.sources.items())
    }
    return _HEADER + yaml_text({"version": _VERSION, "sources": sources}, width=100)


def _table_entry(table: CatalogueTable) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": table.kind}
    if "." in table.schema + table.name:
        entry |= {"schema": table.schema, "name": table.name}
    if table.primary_key:
        entry["primary_key"] = list(table.primary_key)
    entry["columns"] = {
        column.name: column.type + ("" if column.nullable else " not null")
        for column in table.columns
    }
    return entry


def _table_from(qualified: str, entry: dict[str, Any]) -> CatalogueTable:
    schema, name = split(qualified)
    columns = tuple(
        Column(str(column), text.removesuffix(" not null"), not text.endswith(" not null"))
        for column, text in entry["columns"].items()
    )
    return CatalogueTable(
        entry.get("schema", schema),
        entry.get("name", name),
        entry["kind"],
        columns,
        tuple(entry.get("primary_key", ())),
    )
