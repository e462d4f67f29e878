"""Reads the settings of dlt's `sql_database` source in a `config.toml`.

https://dlthub.com/docs/dlt-ecosystem/verified-sources/sql_database/configuration
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.orchestration.project.other_tools.carried import (
    Carried,
    Imported,
    as_mapping,
    as_names,
    columns_named,
    is_view,
    tables_named,
)

_SOURCE = "sql_database"
# How to connect, and how dlt itself reads and names things.
_NO_MATTER = (
    *("credentials", "backend", "chunk_size", "reflection_level", "defer_table_reflect"),
    *("detect_precision_hints", "engine_kwargs", "backend_kwargs", "include_views", "metadata"),
    *("resolve_foreign_keys", "table", "write_disposition"),
)
_OF_SOURCE = ("schema", "table_names")
_OF_TABLE = ("schema", "incremental", "included_columns", "excluded_columns", "primary_key")
_OF_CURSOR = (
    *("cursor_path", "initial_value", "primary_key", "lag", "on_cursor_value_missing"),
    *("row_order", "range_start", "last_value_func"),
)
_NULLS = {"include": "include", "exclude": "exclude", "raise": "error"}


def is_dlt(data: Any) -> bool:
    return isinstance(data, Mapping) and _SOURCE in as_mapping(data.get("sources"))


def read_dlt(data: Any, tables: Sequence[CatalogueTable]) -> Imported:
    """What the source's settings say about these tables."""
    source = as_mapping(as_mapping(data.get("sources")).get(_SOURCE))
    schema = str(source.get("schema") or "public")
    named = as_names(source.get("table_names"))
    of_tables = {n: as_mapping(v) for n, v in source.items() if _is_of_table(n, v)}
    left = [
        (_SOURCE, f"`{key}`") for key in source if key not in (*_NO_MATTER, *_OF_SOURCE, *of_tables)
    ]
    if source.get("include_views") and not named:
        left.append((_SOURCE, "`include_views`: no view is declared; add those that you need"))
    found: dict[str, Carried] = {}
    for name in named or [t.name for t in tables if t.schema == schema and not is_view(t)]:
        settings = of_tables.get(name, {})
        matching = tables_named(tables, str(settings.get("schema") or schema), name)
        if not matching:
            left.append((name, "not in the database"))
        for table in matching:
            found[table.qualified] = _carried(table, settings)
            left += [(table.qualified, text) for text in _remarks(settings, table)]
    unused = [n for n in of_tables if n not in {t.name for t in tables} and n not in named]
    left += [(name, "not in the database") for name in unused]
    return Imported(found, tuple(left))


def _is_of_table(name: str, value: object) -> bool:
    return isinstance(value, Mapping) and name not in (*_NO_MATTER, *_OF_SOURCE)


def _carried(table: CatalogueTable, settings: Mapping[str, Any]) -> Carried:
    cursor = as_mapping(settings.get("incremental"))
    path = str(cursor.get("cursor_path") or "").strip("'\"")
    found = columns_named(table, [path])[0] if path else ""
    column = table.column(found)
    key = as_names(settings.get("primary_key")) or as_names(cursor.get("primary_key"))
    return Carried(
        method="cursor" if path else "whole",
        cursor=found,
        initial_value=cursor.get("initial_value"),
        lookback=_lookback(cursor.get("lag"), column.type if column else ""),
        primary_key=columns_named(table, key),
        include=columns_named(table, as_names(settings.get("included_columns"))),
        exclude=columns_named(table, as_names(settings.get("excluded_columns"))),
        on_null_cursor=_NULLS.get(str(cursor.get("on_cursor_value_missing") or ""), ""),
    )


def _lookback(lag: object, pg_type: str) -> str:
    """dlt's `lag`: days for a date, seconds for a time, else in the cursor's own unit."""
    if not isinstance(lag, int | float) or not lag:
        return ""
    unit = "d" if pg_type == "date" else "s" if pg_type.startswith("timestamp") else ""
    return f"{int(lag)}{unit}"


def _remarks(settings: Mapping[str, Any], table: CatalogueTable) -> Iterator[str]:
    has_key = settings.get("primary_key") or table.primary_key
    if settings.get("write_disposition") == "append" and has_key:
        yield (
            "`write_disposition` `append`: staging has the newest row of each key; `history: true` "
            "keeps versions"
        )
    for key in settings:
        if key not in (*_NO_MATTER, *_OF_TABLE):
            yield f"`{key}`"
    cursor = as_mapping(settings.get("incremental"))
    for key in cursor:
        if key not in _OF_CURSOR:
            yield f"`incremental.{key}`"
    if isinstance(cursor.get("initial_value"), dt.time):
        yield "`incremental.initial_value` isn't a date"
    if cursor.get("last_value_func", "max") != "max":
        yield "`incremental.last_value_func`: Lakefeed follows the largest value"
