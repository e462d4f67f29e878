"""Reads an Airbyte connection, as its API and its database export it.

https://reference.airbyte.com/reference/getconnection has `configurations`; the API of the user
interface has `syncCatalog`; a configured catalog has neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.orchestration.project.other_tools.carried import (
    Carried,
    Imported,
    Method,
    as_mapping,
    columns_named,
    names_in,
    tables_named,
)

_ROW_VERSION = "xmin"
_OF_THE_LOG = "_ab_cdc"
_HIDING = ("hashing", "encryption")
_SHA256 = "hashing by SHA-256"
_LEFT = ("schedule", "scheduleData", "prefix", "namespaceFormat", "operationIds", "operations")


def is_airbyte(data: Any) -> bool:
    return isinstance(data, Mapping) and _listed(data) is not None


def read_airbyte(data: Any, tables: Sequence[CatalogueTable]) -> Imported:
    """What a connection says about these tables."""
    left = [("connection", f"`{key}`") for key in _LEFT if data.get(key)]
    found: dict[str, Carried] = {}
    for stream in map(_flat, _listed(data) or ()):
        name = str(stream.get("name") or "")
        shown = ".".join(filter(None, [str(stream.get("namespace") or ""), name]))
        matching = _tables_of(tables, str(stream.get("namespace") or ""), name)
        if len(matching) != 1 and stream.get("selected") is False:
            continue
        if len(matching) != 1:
            several = f"{len(matching)} schemas have it, and the file names none"
            left.append((shown, several if matching else "not in the database"))
            continue
        table = matching[0]
        found[table.qualified] = _carried(table, stream)
        left += [(table.qualified, text) for text in _remarks(stream)]
    return Imported(found, tuple(left))


def _listed(data: Mapping[str, Any]) -> list[Any] | None:
    for holder in ("configurations", "syncCatalog", "sync_catalog"):
        if holder in data:
            data = as_mapping(data[holder])
            break
    streams = data.get("streams")
    return streams if isinstance(streams, list) else None


def _flat(stream: object) -> dict[str, Any]:
    """A stream with its configuration, in whichever of the forms, with names in camel case."""
    whole = as_mapping(stream)
    both = {**as_mapping(whole.get("stream")), **as_mapping(whole.get("config")), **whole}
    return {_camel(key): value for key, value in both.items()}


def _camel(key: str) -> str:
    first, *others = key.split("_")
    return first + "".join(map(str.capitalize, others))


def _tables_of(tables: Sequence[CatalogueTable], namespace: str, name: str) -> list[CatalogueTable]:
    """The table of a stream. Without a namespace, the one in `public`, or the only one."""
    if namespace:
        return tables_named(tables, namespace, name)
    namesakes = [t for t in tables if tables_named([t], t.schema, name)]
    return tables_named(tables, "public", name) or namesakes


def _paths(value: object) -> tuple[str, ...]:
    """Columns from paths: a list of names, a list of such lists, or of `{fieldPath: […]}`."""
    names = []
    for one in value if isinstance(value, list) else ():
        path = as_mapping(one).get("fieldPath", as_mapping(one).get("field_path", one))
        names.append(str(path[0] if isinstance(path, list) and path else path))
    return tuple(names)


def _method(stream: Mapping[str, Any]) -> Method:
    cursor = _paths(stream.get("cursorField"))
    if not str(stream.get("syncMode") or "").startswith("incremental"):
        return "whole"
    if any(name.startswith(_OF_THE_LOG) for name in (*cursor, *_default_cursor(stream))):
        return "log"
    if cursor == (_ROW_VERSION,) or (not cursor and stream.get("sourceDefinedCursor")):
        return "row_versions"
    return "cursor" if cursor else "unknown"


def _default_cursor(stream: Mapping[str, Any]) -> tuple[str, ...]:
    return _paths(stream.get("defaultCursorField"))


def _carried(table: CatalogueTable, stream: Mapping[str, Any]) -> Carried:
    method = _method(stream)
    cursor = columns_named(table, _paths(stream.get("cursorField")))
    fields = _paths(stream.get("selectedFields"))
    chosen = fields if stream.get("fieldSelectionEnabled") is not False else ()
    gone = [name for name, how in _mapped(stream) if how == "field-filtering"]
    hidden = columns_named(table, (name for name, how in _mapped(stream) if how in _HIDING))
    hashed = columns_named(table, (name for name, how in _mapped(stream) if how == _SHA256))
    known = {column.name for column in table.columns}
    return Carried(
        method=method,
        cursor=cursor[0] if cursor and method == "cursor" else "",
        primary_key=columns_named(table, _paths(stream.get("primaryKey"))),
        include=tuple(n for n in columns_named(table, chosen) if not n.startswith(_OF_THE_LOG)),
        exclude=tuple(n for n in columns_named(table, gone) if n in known),
        hidden=tuple(name for name in hidden if name in known),
        hashed=tuple(name for name in hashed if name in known),
        renamed=names_in(table, dict(_renamed(stream))),
        is_paused=stream.get("selected") is False,
    )


def _mapped(stream: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The columns whose values are changed or dropped on their way, and how."""
    for name in _paths(stream.get("hashedFields")):
        yield name, "hashing"
    for kind, settings in _mappers(stream):
        target = settings.get("targetField") or settings.get("originalFieldName") or ""
        is_sha256 = kind == "hashing" and settings.get("method") == "SHA-256"
        yield str(target), _SHA256 if is_sha256 else kind


def _renamed(stream: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for kind, settings in _mappers(stream):
        if kind == "field-renaming" and settings.get("newFieldName"):
            yield str(settings.get("originalFieldName")), str(settings["newFieldName"])
        if kind == "hashing" and (suffix := settings.get("fieldNameSuffix")):
            yield str(settings.get("targetField")), f"{settings.get('targetField')}{suffix}"


def _mappers(stream: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for mapper in map(as_mapping, stream.get("mappers") or ()):
        settings = as_mapping(mapper.get("mapperConfiguration", mapper.get("configuration")))
        yield str(mapper.get("type") or ""), settings


def _remarks(stream: Mapping[str, Any]) -> Iterator[str]:
    for name, how in _mapped(stream):
        if how not in (*_HIDING, _SHA256, "field-filtering", "field-renaming"):
            yield f"mapper `{how}`{f' of `{name}`' if name else ''}"
    if _method(stream) == "unknown":
        yield "incremental without a cursor"
    modes = f"{stream.get('syncMode')} {stream.get('destinationSyncMode')}"
    if modes.startswith("full_refresh") and "append" in modes and "dedup" not in modes:
        yield "append: staging has the newest rows; `history: true` keeps versions"
