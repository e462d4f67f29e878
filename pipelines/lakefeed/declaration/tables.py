"""Resolves the declaration and the catalogue into `Table`s, with merged settings and lake names.

Levels, in rising precedence: defaults of the file, defaults of the source, wildcards from least to
most specific, the table. `null` unsets what an earlier level set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lakefeed.declaration.catalogue import QUERY, Catalogue, CatalogueTable
from lakefeed.declaration.column_checks import problem_as_in_raw
from lakefeed.declaration.document.loader import Declared
from lakefeed.declaration.document.positions import Document, YamlPath
from lakefeed.declaration.document.written_text import written_text
from lakefeed.declaration.log_settings import problem_of_log, reads_log, settle_log
from lakefeed.declaration.models.columns import EACH, merged_columns, parse_columns
from lakefeed.declaration.models.declaration import SourceDeclaration
from lakefeed.declaration.models.table_settings import TableDeclaration
from lakefeed.declaration.table import Table, bare_query
from lakefeed.declaration.table_checks import problem_of_query, problem_of_settings
from lakefeed.declaration.table_names import (
    LONGEST_LAKE_NAME,
    RESERVED,
    default_name,
    is_wildcard,
    matching_wildcards,
    qualify,
    read_entry,
    split,
    wildcards_of,
)
from lakefeed.errors import DeclarationError, Problem


@dataclass(frozen=True)
class _Layer:
    """One level of settings, with its YAML path."""

    path: YamlPath
    data: dict[str, Any]


def known_elsewhere(
    source: SourceDeclaration, known: Mapping[str, CatalogueTable], name: str
) -> CatalogueTable | None:
    """The only catalogued table with this name that isn't declared in its own schema, if any.

    It keeps a mistake in `schema` from changing the catalogue and the staging models.
    """
    namesakes = {
        q: table for q, table in known.items() if table.name == name and table.kind != QUERY
    }
    if not namesakes:
        return None
    declared = {qualify(entry, source.schema_) for entry in source.tables}
    wildcards = wildcards_of(source)
    found = [
        table
        for qualified, table in namesakes.items()
        if qualified not in declared
        and not matching_wildcards(qualified, wildcards, source.schema_)
    ]
    return found[0] if len(found) == 1 else None


def resolve_tables(declared: Declared, catalogue: Catalogue) -> tuple[Table, ...]:
    """All declared tables, including those in the catalogue that match a wildcard.

    Raises:
        DeclarationError: with every mistake in the merged settings and the resulting names.
    """
    problems: list[Problem] = []
    tables: list[tuple[YamlPath, Table]] = []
    for source in declared.declaration.sources:
        problems += _entry_problems(declared, source)
        wildcards = wildcards_of(declared.declaration.sources[source])
        for qualified, path in _declared_names(declared, catalogue, source, wildcards):
            layers = _layers(declared, source, qualified, path, wildcards=wildcards)
            resolved = _resolve(declared, catalogue, source, qualified, layers)
            if isinstance(resolved, Problem):
                problems.append(resolved)
            else:
                tables.append((path, resolved))
    problems += _same_names(declared.document, tables)
    if problems:
        raise DeclarationError(problems=problems)
    return tuple(table for _, table in tables)


def finds_active_tables(declared: Declared, source: str) -> bool:
    """Whether a wildcard may match tables that aren't known yet, and that aren't paused."""
    data = declared.document.data
    path: YamlPath = ("sources", source)
    defaults = {**(_at(data, ("defaults",)) or {}), **(_at(data, (*path, "defaults")) or {})}
    return any(
        {**defaults, **(_at(data, (*path, "tables", entry)) or {})}.get("enabled") is not False
        for entry in wildcards_of(declared.declaration.sources[source])
    )


def _entry_problems(declared: Declared, source_name: str) -> Iterator[Problem]:
    source = declared.declaration.sources[source_name]
    first: dict[str, str] = {}
    for entry, settings in source.tables.items():
        path: YamlPath = ("sources", source_name, "tables", entry)
        if is_wildcard(entry) and settings and settings.name:
            message = f"`{entry}` is a wildcard; only a single table can have a `name`"
            yield declared.document.problem((*path, "name"), message)
        if settings and settings.query and (why := _no_name_of_query(entry)):
            yield declared.document.problem((*path, "query"), why)
        before = first.setdefault(qualify(entry, source.schema_), entry)
        if before != entry:
            line = declared.document.place_of((*path[:-1], before)).line
            yield declared.document.problem(path, f"`{entry}` repeats `{before}` of line {line}")


def _no_name_of_query(entry: str) -> str | None:
    """Why an entry can't have a `query`; None if it can."""
    if is_wildcard(entry):
        return f"`{entry}` is a wildcard; only a single table can have a `query`"
    found = read_entry(entry, "")
    if found.schema:
        return f"`{entry}` names a schema, but a `query` is in none; name the entry `{found.name}`"
    return None


def _declared_names(
    declared: Declared, catalogue: Catalogue, source_name: str, wildcards: Sequence[str]
) -> Iterator[tuple[str, YamlPath]]:
    source = declared.declaration.sources[source_name]
    explicit = {
        qualify(entry, source.schema_): entry for entry in source.tables if not is_wildcard(entry)
    }
    for qualified, entry in explicit.items():
        yield qualified, ("sources", source_name, "tables", entry)
    known = catalogue.sources.get(source_name, {})
    for qualified in sorted(name for name, table in known.items() if table.kind != QUERY):
        matching = matching_wildcards(qualified, wildcards, source.schema_)
        if matching and qualified not in explicit:
            yield qualified, ("sources", source_name, "tables", matching[-1])


def _resolve(
    declared: Declared, catalogue: Catalogue, source: str, qualified: str, layers: list[_Layer]
) -> Table | Problem:
    document, path = declared.document, layers[-1].path
    merged, origins, paths = _merge(document, layers)
    settle_log(merged, origins, paths, path)
    if problem := _problem_of_kind(document, path, merged, paths):
        return problem
    if merged.get("query") is not None:
        # Defaults and wildcards may set them for tables.
        for name in ("only", "parallel", "on_detach"):
            merged.pop(name, None)
            origins.pop(name, None)
    settings = TableDeclaration.model_validate(merged)
    mode = settings.mode or ("incremental" if settings.cursor else None)
    if not settings.enabled and mode is None:
        # What isn't loaded needs no way to load it.
        mode = "full_refresh"
    problem = problem_of_settings(document, path, paths, settings=settings, mode=mode)
    warehouse = declared.declaration.warehouse
    if problem := problem or problem_as_in_raw(document, paths, settings, warehouse):
        return problem
    most = declared.declaration.sources[source].max_connections
    if most == 1 and settings.max_lock_wait:
        message = (
            "`max_lock_wait` is watched by a second session, and `max_connections` of "
            f"`{source}` allows one"
        )
        return document.problem(paths["max_lock_wait"], message)
    wal = declared.declaration.wal_of(source) if reads_log(merged) else None
    if wal:
        origins |= _origins_of_wal(document, source)
    if most:
        origins["max_connections"] = document.where(("sources", source, "max_connections"))
    assert mode is not None
    schema, name = split(qualified)
    short_name = settings.name or default_name(source, name)
    if len(f"{source}__{short_name}") > LONGEST_LAKE_NAME:
        message = (
            f"the lake name `{source}__{short_name}` is longer than {LONGEST_LAKE_NAME} "
            "characters; set a shorter `name`, or shorten the source's name"
        )
        return document.problem(path, message)
    if short_name.lower() in RESERVED:
        message = f"`{short_name}` is a reserved file name on Windows; set another `name`"
        return document.problem((*path, "name"), message)
    return Table(
        source=source, schema=schema, name=name, short_name=short_name, mode=mode, paths=paths,
        settings=settings, origins=origins, where=document.where(path),
        catalogue=_catalogued(
            declared, catalogue, source, qualified, is_query=_is_query(settings)
        ),
        max_connections=most, wal=wal,
        written_query=written_text(document, paths["query"], bare_query(settings.query))
        if settings.query is not None
        else None,
    )  # fmt: skip


def _problem_of_kind(
    document: Document, path: YamlPath, merged: Mapping[str, Any], paths: Mapping[str, YamlPath]
) -> Problem | None:
    """A setting that makes no sense with a query, or with the log as the cursor."""
    if merged.get("query") is not None:
        return problem_of_query(document, path, merged, paths)
    return problem_of_log(document, path, merged, paths)


def _origins_of_wal(document: Document, source: str) -> dict[str, str]:
    path: YamlPath = ("sources", source, "wal")
    return {f"wal.{name}": document.where((*path, name)) for name in _at(document.data, path) or {}}


def _is_query(settings: TableDeclaration) -> bool | None:
    """Whether an entry is a query; None for a paused one, which may have lost its `query`."""
    return True if settings.query is not None else False if settings.enabled else None


def _catalogued(
    declared: Declared, catalogue: Catalogue, source: str, qualified: str, *, is_query: bool | None
) -> CatalogueTable | None:
    """The table in the catalogue; never a query in place of a table, or the other way round."""
    found = catalogue.table(source, qualified)
    if found and is_query in (None, found.kind == QUERY):
        return found
    if is_query:
        return None
    known = catalogue.sources.get(source, {})
    return known_elsewhere(declared.declaration.sources[source], known, split(qualified)[1])


def _layers(
    declared: Declared,
    source_name: str,
    qualified: str,
    path: YamlPath,
    *,
    wildcards: Sequence[str],
) -> list[_Layer]:
    data, source = declared.document.data, declared.declaration.sources[source_name]
    tables_path: YamlPath = ("sources", source_name, "tables")
    paths: list[YamlPath] = [("defaults",), ("sources", source_name, "defaults")]
    matching = matching_wildcards(qualified, wildcards, source.schema_)
    paths += [(*tables_path, entry) for entry in matching]
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
            for setting, path, given in _settings_in(key, (*layer.path, key), value):
                paths[setting] = path
                origins[setting] = document.where(path) + (" (null)" if given is None else "")
            if key == "columns":
                merged[key] = merged_columns(merged.get(key, {}), value)
            elif value is None:
                merged.pop(key, None)
            else:
                merged[key] = value
    return merged, origins, paths


def _settings_in(key: str, path: YamlPath, value: Any) -> Iterator[tuple[str, YamlPath, Any]]:
    """The settings under a key, each with its path: that of each column is one of its own."""
    columns = parse_columns(value).get(EACH, {}) if key == "columns" and value else {}
    if not columns or len(columns) < len(value):
        yield key, path, value
    for name, settings in columns.items():
        yield f"{key}.{name}", (*path, name), settings


def _same_names(document: Document, tables: list[tuple[YamlPath, Table]]) -> Iterator[Problem]:
    seen: dict[str, Table] = {}
    for path, table in tables:
        first = seen.setdefault(table.lake_name.lower(), table)
        other = (first.source, first.qualified)
        if other != (table.source, table.qualified):
            message = (
                f"`{table.source}.{table.qualified}` and `{first.source}.{first.qualified}` "
                f"({first.where}) would both be named `{table.lake_name}` in the lake; "
                "set another `name` for one of them"
            )
            yield document.problem(path, message)
