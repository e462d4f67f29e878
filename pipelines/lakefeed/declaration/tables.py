"""Settings merged, names given: the declaration and the catalogue become `Table`s.

Precedence: file defaults <- source defaults <- wildcards, the more specific last <- the table.
`null` at any level takes back what a level before it set.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lakefeed.declaration.catalogue import Catalogue, CatalogueTable, Column
from lakefeed.declaration.document.loader import Declared
from lakefeed.declaration.document.positions import Document, YamlPath
from lakefeed.declaration.models import Cursor, SourceDeclaration, TableDeclaration
from lakefeed.declaration.table_names import (
    is_wildcard,
    matching_wildcards,
    qualify,
    spelled,
    split,
)
from lakefeed.errors import DeclarationError, Problem

Mode = Literal["incremental", "full_refresh"]

# PostgreSQL's number of the transaction that wrote a row version.
ROW_VERSION = "xmin"

LONGEST_LAKE_NAME = 120
_ROOM_FOR_A_DIGEST = 20
# Names that Windows keeps for devices; dlt gives its files none of them.
_RESERVED = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10))}


@dataclass(frozen=True)
class Table:
    """One declared table with all its settings. `lake_name` is its one name everywhere.

    `origins` says where each setting comes from, as `file:line`, `paths` at which keys.
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
    def lake_name(self) -> str:
        return f"{self.source}__{self.short_name}"

    @property
    def qualified(self) -> str:
        """Schema and table as the source knows them, in the spelling of `sources.yaml`."""
        return spelled(self.schema, self.name)

    @property
    def shown(self) -> str:
        """The name that people type and read: `shop.orders`."""
        return f"{self.source}.{self.short_name}"

    @property
    def cursor(self) -> Cursor | None:
        """The column that an incremental table is read by; None where there is no such column."""
        declared = self.settings.cursor if self.mode == "incremental" else None
        return None if self.reads_row_versions else declared

    @property
    def reads_row_versions(self) -> bool:
        """Whether what is new is told by PostgreSQL's own row versions (`cursor: xmin`)."""
        declared = self.settings.cursor
        return self.mode == "incremental" and bool(declared and declared.column == ROW_VERSION)

    @property
    def key(self) -> tuple[str, ...]:
        """The declared primary key, else the database's; empty where neither is known."""
        if self.settings.primary_key is not None:
            return self.settings.primary_key
        return self.catalogue.primary_key if self.catalogue else ()

    @property
    def sees_deletes(self) -> bool:
        """Whether rows that leave the source leave staging, or are marked there."""
        return self.mode == "full_refresh" or self.settings.deletes != "ignore"

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of the key, as far as the catalogue knows them; all or none."""
        found = [self.catalogue.column(name) for name in self.key] if self.catalogue else []
        known = tuple(column for column in found if column)
        return known if len(known) == len(self.key) else ()

    def where_of(self, setting: str) -> str:
        """`file:line` of one setting, of the table itself where it is a default."""
        origin = self.origins.get(setting, "default")
        return self.where if origin == "default" else origin


@dataclass(frozen=True)
class _Layer:
    """One level of settings: what it sets, and where it stands in the file."""

    path: YamlPath
    data: dict[str, Any]


def known_elsewhere(
    source: SourceDeclaration, known: Mapping[str, CatalogueTable], name: str
) -> CatalogueTable | None:
    """The one table of this name that is known in another schema and isn't declared there.

    So a mistake in `schema` leaves the catalogue and the staging models as they are.
    """
    declared = {qualify(entry, source.schema_) for entry in source.tables}
    found = [
        table
        for qualified, table in known.items()
        if table.name == name
        and qualified not in declared
        and not matching_wildcards(qualified, source)
    ]
    return found[0] if len(found) == 1 else None


def lake_name_of(name: str) -> str:
    """A table's name in the lake: lower case, with `_` for what isn't a letter or digit."""
    return re.sub(r"\W+", "_", name.lower()).strip("_")


def default_name(source: str, name: str) -> str:
    """What a table is called in the lake where nothing is declared: after its letters and digits.

    A name without any, or with too many, has a digest of it. No other name ends in `_`.
    """
    if lake_name_of(name) in _RESERVED:
        return f"{lake_name_of(name)}_"
    wanted, room = lake_name_of(name), LONGEST_LAKE_NAME - len(f"{source}__")
    if wanted and (len(wanted) <= room or room < _ROOM_FOR_A_DIGEST):
        return wanted
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{wanted[: room - 9] or 'table'}_{digest}"


def resolve_tables(declared: Declared, catalogue: Catalogue) -> tuple[Table, ...]:
    """Every declared table, members of wildcards (from the catalogue) included.

    Raises:
        DeclarationError: with every mistake that shows only once settings are merged.
    """
    problems: list[Problem] = []
    tables: list[tuple[YamlPath, Table]] = []
    for source in declared.declaration.sources:
        problems += _entry_problems(declared, source)
        for qualified, path in _declared_names(declared, catalogue, source):
            resolved = _resolve(declared, catalogue, source, qualified, path)
            if isinstance(resolved, Problem):
                problems.append(resolved)
            else:
                tables.append((path, resolved))
    problems += _same_names(declared.document, tables)
    if problems:
        raise DeclarationError(problems=problems)
    return tuple(table for _, table in tables)


def _entry_problems(declared: Declared, source_name: str) -> Iterator[Problem]:
    source = declared.declaration.sources[source_name]
    first: dict[str, str] = {}
    for entry, settings in source.tables.items():
        path: YamlPath = ("sources", source_name, "tables", entry)
        if is_wildcard(entry) and settings and settings.name:
            message = f"`{entry}` stands for many tables, and a `name` is one table's"
            yield declared.document.problem((*path, "name"), message)
        before = first.setdefault(qualify(entry, source.schema_), entry)
        if before != entry:
            line = declared.document.place_of((*path[:-1], before)).line
            yield declared.document.problem(path, f"`{entry}` is the `{before}` of line {line}")


def _declared_names(
    declared: Declared, catalogue: Catalogue, source_name: str
) -> Iterator[tuple[str, YamlPath]]:
    source = declared.declaration.sources[source_name]
    explicit = {
        qualify(entry, source.schema_): entry for entry in source.tables if not is_wildcard(entry)
    }
    for qualified, entry in explicit.items():
        yield qualified, ("sources", source_name, "tables", entry)
    for qualified in sorted(catalogue.sources.get(source_name, {})):
        wildcards = matching_wildcards(qualified, source)
        if wildcards and qualified not in explicit:
            yield qualified, ("sources", source_name, "tables", wildcards[-1])


def _resolve(
    declared: Declared, catalogue: Catalogue, source: str, qualified: str, path: YamlPath
) -> Table | Problem:
    document = declared.document
    merged, origins, paths = _merge(document, _layers(declared, source, qualified, path))
    settings = TableDeclaration.model_validate(merged)
    mode = settings.mode or ("incremental" if settings.cursor else None)
    problem = _table_problem(document, path, settings, mode)
    if problem:
        return problem
    assert mode is not None
    schema, name = split(qualified)
    short_name = settings.name or default_name(source, name)
    if len(f"{source}__{short_name}") > LONGEST_LAKE_NAME:
        message = (
            f"`{source}__{short_name}` is too long a name for the lake: {LONGEST_LAKE_NAME} "
            "characters at most; choose a shorter `name`, or another name for the source"
        )
        return document.problem(path, message)
    if short_name.lower() in _RESERVED:
        message = f"`{short_name}` is a name that file systems reserve; choose another `name`"
        return document.problem((*path, "name"), message)
    entry = catalogue.table(source, qualified) or known_elsewhere(
        declared.declaration.sources[source], catalogue.sources.get(source, {}), name
    )
    where = document.where(path)
    return Table(source, schema, name, short_name, mode, settings, origins, paths, where, entry)


def _layers(declared: Declared, source_name: str, qualified: str, path: YamlPath) -> list[_Layer]:
    data, source = declared.document.data, declared.declaration.sources[source_name]
    tables_path: YamlPath = ("sources", source_name, "tables")
    paths: list[YamlPath] = [("defaults",), ("sources", source_name, "defaults")]
    paths += [(*tables_path, entry) for entry in matching_wildcards(qualified, source)]
    paths += [path] if path not in paths else []
    return [_Layer(place, _at(data, place) or {}) for place in paths]


def _at(data: Any, path: YamlPath) -> Any:
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _merge(
    document: Document, layers: list[_Layer]
) -> tuple[dict[str, Any], dict[str, str], dict[str, YamlPath]]:
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    paths: dict[str, YamlPath] = {}
    for layer in layers:
        for key, value in layer.data.items():
            paths[key] = (*layer.path, key)
            origins[key] = document.where(paths[key])
            if value is None:
                merged.pop(key, None)
                origins[key] += " (null)"
            else:
                merged[key] = value
    return merged, origins, paths


def _table_problem(
    document: Document, path: YamlPath, settings: TableDeclaration, mode: str | None
) -> Problem | None:
    entry = path[-1]
    if mode is None or (mode == "incremental" and not settings.cursor):
        return document.problem(
            path,
            f"`{entry}` has no cursor: name the column that moves with every change "
            "(`cursor: updated_at`), or load the whole table each time (`mode: full_refresh`)",
        )
    if settings.columns and settings.columns.include and settings.columns.exclude:
        message = f"`{entry}`: `columns` takes `include` or `exclude`, not both"
        return document.problem(path, message)
    declared = settings.cursor
    if declared and declared.column == ROW_VERSION and declared.initial_value is not None:
        return document.problem(path, f"`{entry}`: `cursor: xmin` has no `initial_value`")
    return None


def _same_names(document: Document, tables: list[tuple[YamlPath, Table]]) -> Iterator[Problem]:
    seen: dict[str, Table] = {}
    for path, table in tables:
        first = seen.setdefault(table.lake_name.lower(), table)
        if first is not table and (first.source, first.qualified) != (
            table.source,
            table.qualified,
        ):
            message = (
                f"`{table.source}.{table.qualified}` and `{first.source}.{first.qualified}` "
                f"({first.where}) would both be `{table.lake_name}` in the lake; "
                "give one of them another `name`"
            )
            yield document.problem(path, message)
