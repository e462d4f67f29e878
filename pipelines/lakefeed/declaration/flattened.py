"""The columns that staging gets from values in JSON columns (`flatten`), and their mistakes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.document.positions import Document, YamlPath
from lakefeed.declaration.models.columns import ColumnSettings
from lakefeed.declaration.models.json_paths import flattened_name, steps_of
from lakefeed.declaration.models.table_settings import TableDeclaration
from lakefeed.declaration.table import Table, is_own
from lakefeed.errors import Problem

JSON_TYPES = ("json", "jsonb")


@dataclass(frozen=True)
class Flattened:
    """A column of staging with a value of a JSON column.

    Attributes:
        name: its name in staging.
        path: as written in `sources.yaml`.
        type: PostgreSQL's type.
    """

    name: str
    path: str
    type: str

    @property
    def steps(self) -> tuple[str, ...]:
        """The keys and positions that lead to the value."""
        return steps_of(self.path)


def flattened_of(table: Table, column: str) -> tuple[Flattened, ...]:
    """The columns that a column is flattened to, by its name in the source; none if not loaded."""
    declared = table.settings_of(column).flatten if table.loads(column) else None
    name = table.staged_name(column)
    return tuple(
        Flattened(flattened_name(name, path), path, kind) for path, kind in (declared or {}).items()
    )


def why_not_flattened(table: Table, column: Column) -> str | None:
    """Why a column of the source can't be flattened, as a message; None if it can."""
    declared = table.settings_of(column.name)
    if not flattened_of(table, column.name) or "json" in (declared.type, column.type):
        return None
    if column.type in JSON_TYPES:
        return None
    return (
        f"`columns` of {table.shown} flattens `{column.name}`, which is {column.type} in the "
        "source, not json or jsonb; remove its `flatten`, or declare `type: json` if it is text "
        "that holds JSON"
    )


def problem_of_flattened(
    document: Document, paths: Mapping[str, YamlPath], settings: TableDeclaration
) -> Problem | None:
    """A `flatten` beside settings that leave no JSON, or that gives two columns one name."""
    declared = settings.columns
    first: dict[str, str] = {}
    for column, how in declared.each.items() if declared else ():
        if not how or not how.flatten:
            continue
        place = (*paths.get(f"columns.{column}", ()), "flatten")
        if reason := _why_no_json(how):
            message = f"`{column}` {reason}"
            return document.problem(place, message)
        if not is_own(place):
            # Defaults may be meant for columns of other tables.
            continue
        if not _is_chosen(column, settings):
            message = f"`{column}` isn't loaded (`columns` leaves it out); remove its `flatten`"
            return document.problem(place, message)
        for name, path in _names(column, how):
            before = first.setdefault(name.lower(), path)
            if before != path:
                message = f"`{path}` and `{before}` would both be named `{name}` in staging"
                return document.problem((*place, path), message)
    return None


def _why_no_json(how: ColumnSettings) -> str | None:
    """Why a column with these settings holds no JSON, to follow its name in a message."""
    if how.protection:
        return f"is no longer JSON, since `{how.protection}` is set; remove its `flatten`"
    if how.type not in (None, "json"):
        return f"isn't JSON with `type: {how.type}`; remove its `flatten` or its `type`"
    return None


def _is_chosen(column: str, settings: TableDeclaration) -> bool:
    chosen = settings.columns
    assert chosen is not None
    if chosen.include is not None:
        return column in (*chosen.include, *(settings.primary_key or ()))
    return column not in (chosen.exclude or ())


def _names(column: str, how: ColumnSettings) -> Iterator[tuple[str, str]]:
    for path in how.flatten or {}:
        yield flattened_name(how.name or column, path), path
