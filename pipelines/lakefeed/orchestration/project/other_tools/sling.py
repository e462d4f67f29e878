"""Reads a Sling replication: https://docs.slingdata.io/concepts/replication/structure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.table_names import Entry, read_entry
from lakefeed.orchestration.project.other_tools.carried import (
    Carried,
    Imported,
    Method,
    Queried,
    as_mapping,
    as_names,
    columns_named,
    hides,
    is_match,
    is_view,
    names_in,
    tables_named,
)

_METHODS: dict[str, Method] = {
    "full-refresh": "whole",
    "truncate": "whole",
    "snapshot": "whole",
    "incremental": "cursor",
    "backfill": "cursor",
    "change-capture": "log",
}
_CARRIED = ("mode", "primary_key", "update_key", "select", "where", "tags", "transforms")
# They describe a stream, or where it goes.
_NO_MATTER = ("id", "description", "disabled", "object", "single", "replication_mode")
_OPTIONS = ("source_options", "target_options")
_DELETES = {"soft": "mark", "hard": "remove"}


def is_sling(data: Any) -> bool:
    return isinstance(data, Mapping) and "source" in data and isinstance(data.get("streams"), dict)


def read_sling(data: Any, tables: Sequence[CatalogueTable]) -> Imported:
    """What a replication says about these tables."""
    defaults, streams = as_mapping(data.get("defaults")), as_mapping(data.get("streams"))
    left = [(key, "this section") for key in ("hooks", "env") if data.get(key)]
    left += [("defaults", text) for text in _unknown_keys(defaults)]
    found: dict[str, Carried] = {}
    queries: list[Queried] = []
    # An explicit stream comes before a wildcard that includes it.
    for name in sorted(streams, key=_is_wildcard):
        own = as_mapping(streams[name])
        stream = _merged(defaults, own)
        if reason := _why_no_table(name, stream):
            left.append((name, reason))
            continue
        if sql := str(stream.get("sql") or ""):
            queries.append(
                Queried(name, _entry_of(name).name, _query(sql), partial(_carried, stream=stream))
            )
            left += [(name, text) for text in (*_unknown_keys(own), *_remarks(stream))]
            continue
        entry = _entry_of(name)
        matching = _matching(tables, entry)
        if not matching:
            left.append((name, "not in the database"))
        left += [(name, text) for text in _unknown_keys(own)]
        for table in matching:
            if table.qualified not in found:
                found[table.qualified] = _carried(table, stream)
                left += [(table.qualified, text) for text in _remarks(stream)]
    return Imported(found, tuple(left), tuple(queries))


def _is_wildcard(name: str) -> bool:
    return "*" in name or "?" in name


def _entry_of(name: str) -> Entry:
    return read_entry(name, "public")


def _matching(tables: Sequence[CatalogueTable], entry: Entry) -> list[CatalogueTable]:
    if not entry.is_wildcard:
        return tables_named(tables, entry.schema, entry.name)
    return [
        table
        for table in tables
        if is_match(table.schema, entry.schema)
        and is_match(table.name, entry.name)
        and not is_view(table)
    ]


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**defaults, **own}
    for key in _OPTIONS:
        merged[key] = {**as_mapping(defaults.get(key)), **as_mapping(own.get(key))}
    return merged


def _why_no_table(name: str, stream: Mapping[str, Any]) -> str:
    sql = str(stream.get("sql") or "")
    if "://" in sql or sql.strip().endswith(".sql"):
        return "`sql`: a query in a file of its own"
    if re.search(r"\$\{|\{\w+\}", _query(sql)):
        return "`sql`: a query with variables"
    if sql:
        return "`sql` of a wildcard" if _is_wildcard(name) else ""
    if "://" in name or name.lower().startswith(("select ", "with ")) or name.endswith(".sql"):
        return "a query or a file, not a table"
    if str(stream.get("mode")) == "definition-only":
        return "mode `definition-only`: no rows are loaded there"
    return ""


def _left_keys(settings: Mapping[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        if key in _OPTIONS:
            yield from (f"{key}.{name}" for name in as_mapping(value) if name != "delete_missing")
        elif key not in (*_CARRIED, *_NO_MATTER, "sql"):
            yield key


def _unknown_keys(settings: Mapping[str, Any]) -> list[str]:
    return [f"`{key}`" for key in _left_keys(settings)]


def _query(sql: str) -> str:
    """A query without what Sling puts in: Lakefeed adds the condition for the cursor itself."""
    return sql.strip().removesuffix(";").rstrip().replace("{incremental_where_cond}", "true")


def _carried(table: CatalogueTable, stream: Mapping[str, Any]) -> Carried:
    method = _METHODS.get(str(stream.get("mode") or "full-refresh"), "unknown")
    cursor = as_names(stream.get("update_key"))
    if method == "cursor" and not cursor:
        method = "whole"
    include, exclude = _selected(table, as_names(stream.get("select")))
    deletes = str(as_mapping(stream["target_options"]).get("delete_missing") or "")
    return Carried(
        method=method if len(cursor) < 2 or method != "cursor" else "unknown",
        cursor=columns_named(table, cursor)[0] if cursor else "",
        primary_key=columns_named(table, as_names(stream.get("primary_key"))),
        include=include,
        exclude=exclude,
        hidden=_hidden(table, stream),
        hashed=_hashed(table, stream),
        renamed=names_in(table, _aliases(as_names(stream.get("select")))),
        where=str(stream.get("where") or ""),
        deletes=_DELETES.get(deletes, ""),
        tags=as_names(stream.get("tags")),
        is_paused=bool(stream.get("disabled")),
    )


def _selected(
    table: CatalogueTable, select: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns to include, and those to exclude: `-column`."""
    patterns = [name.removeprefix("-") for name in select if name.startswith("-")]
    excluded = [c.name for c in table.columns if any(is_match(c.name, p) for p in patterns)]
    included = [_without_alias(name) for name in select if not name.startswith("-")]
    if "*" in included:
        included = []
    return columns_named(table, included), tuple(excluded)


def _without_alias(selected: str) -> str:
    return re.split(r"(?i)\s+as\s+", selected.strip())[0]


def _aliases(select: Sequence[str]) -> dict[str, str]:
    """The names that selected columns get, without quotes."""
    parts = (re.split(r"(?i)\s+as\s+", one.strip()) for one in select)
    return {column: alias.strip('"') for column, alias in (p for p in parts if len(p) == 2)}


def _transformed(stream: Mapping[str, Any]) -> dict[str, Any]:
    """The transformations of each column."""
    transforms = stream.get("transforms")
    stages = transforms if isinstance(transforms, list) else [transforms]
    return {name: how for stage in stages for name, how in as_mapping(stage).items()}


def _hidden(table: CatalogueTable, stream: Mapping[str, Any]) -> tuple[str, ...]:
    hiding = [n for n, how in _transformed(stream).items() if hides(how) and not _is_sha256(how)]
    return _of(table, hiding)


def _hashed(table: CatalogueTable, stream: Mapping[str, Any]) -> tuple[str, ...]:
    return _of(table, [name for name, how in _transformed(stream).items() if _is_sha256(how)])


def _is_sha256(how: object) -> bool:
    return as_names(how) == ("hash_sha256",)


def _of(table: CatalogueTable, names: Sequence[str]) -> tuple[str, ...]:
    known = {column.name for column in table.columns}
    return tuple(name for name in columns_named(table, names) if name in known)


def _remarks(stream: Mapping[str, Any]) -> Iterator[str]:
    mode, cursor = str(stream.get("mode") or "full-refresh"), as_names(stream.get("update_key"))
    if mode not in _METHODS:
        yield f"mode `{mode}`"
    if mode == "snapshot":
        yield "mode `snapshot`: staging has the newest rows; `history: true` keeps versions"
    if mode == "backfill":
        yield "mode `backfill`: its range"
    if mode in ("incremental", "backfill") and not cursor:
        yield "no `update_key`, so it is read whole, and deleted rows leave staging"
    if mode in ("incremental", "backfill") and len(cursor) > 1:
        yield "an `update_key` of several columns"
    for name, how in _transformed(stream).items():
        if not hides(how):
            yield f"`transforms` of `{name}`"
