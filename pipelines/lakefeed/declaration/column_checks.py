"""Mistakes in the settings of single columns, in sources.yaml alone or against the live table."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.document.positions import Document, YamlPath
from lakefeed.declaration.flattened import flattened_of, problem_of_flattened, why_not_flattened
from lakefeed.declaration.models.columns import ColumnSettings
from lakefeed.declaration.models.declaration import Warehouse
from lakefeed.declaration.models.table_settings import TableDeclaration
from lakefeed.declaration.table import Table, is_own
from lakefeed.errors import Problem


def problems_of_columns(table: Table, live: CatalogueTable) -> Iterator[tuple[str, str]]:
    """The columns whose settings don't fit the table, each with a message."""
    yield from _unknown_columns(table, live)
    yield from _equal_names(table, live)
    for column in live.columns:
        if reason := why_not_flattened(table, column):
            yield column.name, reason


def _equal_names(table: Table, live: CatalogueTable) -> Iterator[tuple[str, str]]:
    """Renamed columns that would be named like another one, which DuckDB compares without case."""
    loaded = [column.name for column in live.columns if table.loads(column.name)]
    # Of two renamed columns, the later one is at fault.
    loaded.sort(key=lambda name: table.staged_name(name) != name)
    taken: dict[str, str] = {}
    for name in loaded:
        new = table.staged_name(name)
        other = taken.setdefault(new.lower(), name)
        if name not in (other, new):
            yield (
                name,
                (
                    f"`columns` of {table.shown} names `{name}` `{new}`, the name of `{other}` in "
                    "staging; choose another `name`, or exclude one of them"
                ),
            )
    for name in loaded:
        for column in flattened_of(table, name):
            other = taken.setdefault(column.name.lower(), f"{name}: {column.path}")
            if other != f"{name}: {column.path}":
                yield (
                    name,
                    (
                        f"`columns` of {table.shown} flattens `{column.path}` of `{name}` to "
                        f"`{column.name}`, the name of `{other}` in staging; give `{name}` another "
                        "`name`, or remove the path"
                    ),
                )


def _unknown_columns(table: Table, live: CatalogueTable) -> list[tuple[str, str]]:
    """The columns that the table's own entry has settings for and the table lacks, each with a
    message. In defaults and wildcards, such columns are those of other tables."""
    names = [column.name for column in live.columns]
    return [
        (
            name,
            f"`columns` of {table.shown} has settings for `{name}`, which doesn't exist in the "
            f"table{nearest(name, names)}",
        )
        for name in table.own_columns
        if name not in names
    ]


def problem_of_columns(
    document: Document, paths: Mapping[str, YamlPath], settings: TableDeclaration, mode: str | None
) -> Problem | None:
    """A column with settings that don't go together, or not with what the table needs it for."""
    cursor = settings.cursor.columns if settings.cursor and mode != "full_refresh" else ()
    if problem := _problem_of_excluded(document, paths, settings, cursor):
        return problem
    each = settings.columns.each if settings.columns else {}
    for name, column in each.items():
        how, place = column.protection if column else None, paths.get(f"columns.{name}", ())
        if column and column.type and (reason := _why_untyped(name, column, settings, cursor)):
            return document.problem(place, f"`{name}` {reason}")
        if how and name in cursor:
            message = f"`{name}` is the cursor, whose order `{how}` would lose"
            return document.problem(place, message)
        if how in ("mask", "truncate") and name in (settings.primary_key or ()):
            message = (
                f"`{name}` is in the primary key, and `{how}` would make different keys equal; "
                "hash it instead (`hash: sha256`)"
            )
            return document.problem(place, message)
    return _problem_of_names(document, paths, each) or problem_of_flattened(
        document, paths, settings
    )


def problem_as_in_raw(
    document: Document,
    paths: Mapping[str, YamlPath],
    settings: TableDeclaration,
    warehouse: Warehouse,
) -> Problem | None:
    """A setting of a column that staging doesn't have on an engine where it is as in raw."""
    if not warehouse.has_raws_columns:
        return None
    on = f"`warehouse: {{type: {warehouse.type}}}`"
    for name, column in (settings.columns.each if settings.columns else {}).items():
        if column and column.flatten:
            message = (
                f"`{name}`: `flatten` doesn't exist with {on}, whose "
                "staging has raw's names and types, and whose functions for JSON read numbers as "
                "doubles; take the values in a model"
            )
            return document.problem((*paths.get(f"columns.{name}", ()), "flatten"), message)
        if column and (column.name or column.is_text_in_raw or column.type == "json"):
            setting = "name" if column.name else f"type: {column.type}"
            message = (
                f"`{name}`: `{setting}` doesn't exist with {on}, whose "
                "staging has raw's names and types; rename or convert the column in a model"
            )
            return document.problem(paths.get(f"columns.{name}", ()), message)
    return None


def _problem_of_excluded(
    document: Document,
    paths: Mapping[str, YamlPath],
    settings: TableDeclaration,
    cursor: Collection[str],
) -> Problem | None:
    """A column that the table's own entry excludes, and that it can't be loaded without."""
    place = paths.get("columns", ())
    if not settings.columns or not is_own(place):
        return None
    for name in settings.columns.exclude or ():
        needs_it = "the cursor" if name in cursor else "in the primary key"
        if name in cursor or name in (settings.primary_key or ()):
            message = f"`{name}` is {needs_it}, so it can't be excluded"
            return document.problem((*place, "exclude"), message)
    return None


def _why_untyped(
    name: str, column: ColumnSettings, settings: TableDeclaration, cursor: Collection[str]
) -> str | None:
    """Why the column can't have a `type`, to follow its name in a message; None if it can."""
    if column.protection:
        return f"is text, since `{column.protection}` makes it so; remove its `type`"
    if name in cursor:
        return "is the cursor, which keeps the source's type; remove its `type`"
    if name in (settings.primary_key or ()):
        return "is in the primary key, which keeps the source's type; remove its `type`"
    return None


def _problem_of_names(
    document: Document, paths: Mapping[str, YamlPath], each: Mapping[str, ColumnSettings | None]
) -> Problem | None:
    """Two columns that the table's own entry gives the same name. Those of defaults and wildcards
    may be columns of different tables."""
    first: dict[str, str] = {}
    for name, column in each.items():
        setting = f"columns.{name}"
        if not column or not column.name or not is_own(paths.get(setting, ())):
            continue
        before = first.setdefault(column.name.lower(), name)
        if before != name:
            message = f"`{name}` and `{before}` would both be named `{column.name}` in staging"
            return document.problem((*paths[setting], "name"), message, value=True)
    return None
