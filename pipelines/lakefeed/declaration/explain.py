"""The effective settings of a table and where each is set, for `lakefeed explain`."""

from __future__ import annotations

import datetime as dt
from typing import Any

from pydantic import BaseModel

from lakefeed.declaration.models.columns import PAIR, Columns, Hash
from lakefeed.declaration.models.quality import Tests
from lakefeed.declaration.models.table_settings import Cursor
from lakefeed.declaration.table import Table

# Stands for a value that isn't set.
NOTHING = "-"
# A longer value, such as a query, doesn't move the others' origins out of sight.
_LONGEST_ALIGNED = 60


def explain_table(table: Table, checkpoint: str | None) -> str:
    """A line per setting: its name, its value, and `file:line` or `default`.

    Args:
        checkpoint: the table's current checkpoint; None before its first load.
    """
    rows = _rows(table, checkpoint)
    widest = max(len(name) for name, _, _ in rows)
    value_width = max(len(value) for _, value, _ in rows if len(value) <= _LONGEST_ALIGNED)
    lines = [f"{name:<{widest}}  {value:<{value_width}}  {origin}" for name, value, origin in rows]
    return "\n".join([f"{table.shown} ({table.where})", *(f"  {line}" for line in lines)])


def table_as_json(table: Table, checkpoint: str | None) -> dict[str, Any]:
    """The settings of `explain_table` as JSON types, for `--json`."""
    settings = {
        name: {"value": None if value == NOTHING else value, "from": origin}
        for name, value, origin in _rows(table, checkpoint)
    }
    return {"table": table.shown, "where": table.where, "settings": settings}


def _rows(table: Table, checkpoint: str | None) -> list[tuple[str, str, str]]:
    rows = [(name, value, _origin(table, name)) for name, value in effective_settings(table)]
    if most := table.max_connections:
        rows.append(("max_connections", str(most), table.origins["max_connections"]))
    if log := table.wal:
        rows += [
            (f"wal.{name}", value, _origin(table, f"wal.{name}"))
            for name, value in log.texts.items()
        ]
    if table.goes_on:
        rows.append(("checkpoint", checkpoint or NOTHING, "newest load"))
    return rows


def _origin(table: Table, setting: str) -> str:
    name, _, below = setting.partition(".")
    origin = table.origins.get(setting, table.origins.get(name, "default"))
    is_certain = table.catalogue or name != "columns" or not below or table.is_own(setting)
    return origin if is_certain else f"{origin}, if the table has it"


def effective_settings(table: Table) -> list[tuple[str, str]]:
    """Every effective setting by name, with its value as text."""
    settings = {name: getattr(table.settings, name) for name in type(table.settings).model_fields}
    # A paused table needs no mode, and the one that stands in for it isn't meant.
    mode = table.settings.mode if table.is_paused and not table.settings.cursor else table.mode
    settings |= {"mode": mode, "name": table.short_name, "primary_key": table.key or None}
    if settings["query"]:
        settings["query"] = " ".join(settings["query"].split())
    rows = [("relation", table.qualified), ("pipeline", table.lake_name)]
    settings["columns"], each = _columns(table)
    settings |= each
    if settings["tests"] is not None:
        settings |= _tests(settings.pop("tests"))
    return rows + [(name, shown(value)) for name, value in settings.items()]


def _columns(table: Table) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Which columns are loaded; and a row for each column with settings of its own.

    Defaults and wildcards may name columns of other tables, which aren't listed.
    """
    declared, pair = table.settings.columns or Columns(), {}
    for name in PAIR:
        named = getattr(declared, name)
        here = [one for one in named or () if table.is_own("columns") or not table.lacks(one)]
        if named is not None and (here or not named):
            pair[name] = tuple(here)
    each = {
        setting: column
        for name, column in declared.each.items()
        if column and (table.is_own(setting := f"columns.{name}") or not table.lacks(name))
    }
    return pair or None, each


def _tests(declared: Tests) -> dict[str, Any]:
    """What is tested, a row for each column and each expression."""
    rows: dict[str, Any] = {
        f"tests.columns.{name}": tests for name, tests in declared.columns.items()
    }
    rows |= {f"tests.expressions.{name}": test for name, test in declared.expressions.items()}
    rows |= {"tests.rows": declared.rows, "tests.new_rows": declared.new_rows}
    return {name: row for name, row in rows.items() if row is not None}


def shown(value: Any) -> str:
    """A setting's value as it would be written in YAML; `NOTHING` if it isn't set."""
    if isinstance(value, Hash) and value.key is None:
        value = value.algorithm
    if isinstance(value, Cursor) and value.word:
        value = value.word
    if isinstance(value, BaseModel):
        value = {name: item for name, item in value if name in value.model_fields_set}
    if isinstance(value, dict):
        parts = (f"{name}: {shown(item)}" for name, item in value.items() if item is not None)
        return "{" + ", ".join(parts) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dt.timedelta):
        return _duration(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(str, value)) + "]"
    if isinstance(value, float):
        return f"{value * 100:g}%"
    return NOTHING if value is None else str(value)


def _duration(value: dt.timedelta) -> str:
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
