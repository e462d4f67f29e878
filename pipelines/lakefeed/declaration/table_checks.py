"""Mistakes in the merged settings of a table, which no level has by itself."""

from __future__ import annotations

from collections.abc import Mapping

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.document.messages import nearest
from lakefeed.declaration.document.positions import Document, YamlPath
from lakefeed.declaration.models.table_settings import TableDeclaration
from lakefeed.declaration.table import ROW_VERSION, Table
from lakefeed.errors import Problem


def problem_of_settings(
    document: Document,
    path: YamlPath,
    paths: Mapping[str, YamlPath],
    settings: TableDeclaration,
    mode: str | None,
) -> Problem | None:
    """The first mistake in these settings of the entry at `path`; `paths` are those of each."""
    entry = path[-1]
    if mode is None or (mode == "incremental" and not settings.cursor):
        return document.problem(
            path,
            f"`{entry}` has no cursor: name the column that increases with every change "
            "(`cursor: updated_at`), or load the whole table each time (`mode: full_refresh`)",
        )
    if settings.columns and settings.columns.include and settings.columns.exclude:
        message = f"`{entry}`: `columns` accepts `include` or `exclude`, not both"
        return document.problem(path, message)
    if problem := _problem_of_columns(document, paths, settings, mode):
        return problem
    declared = settings.cursor
    if declared and declared.column == ROW_VERSION and declared.initial_value is not None:
        return document.problem(path, f"`{entry}`: `cursor: xmin` accepts no `initial_value`")
    return None


def unknown_columns(table: Table, live: CatalogueTable) -> list[tuple[str, str]]:
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


def _problem_of_columns(
    document: Document, paths: Mapping[str, YamlPath], settings: TableDeclaration, mode: str | None
) -> Problem | None:
    """A column that can't be both protected and what the table needs it for."""
    cursor = settings.cursor.column if settings.cursor and mode == "incremental" else None
    for name, column in (settings.columns.each if settings.columns else {}).items():
        how, place = column.protection if column else None, paths.get(f"columns.{name}", ())
        if how and name == cursor:
            message = f"`{name}` is the cursor, whose order `{how}` would lose"
            return document.problem(place, message)
        if how in ("mask", "truncate") and name in (settings.primary_key or ()):
            message = (
                f"`{name}` is in the primary key, and `{how}` would make different keys equal; "
                "hash it instead (`hash: sha256`)"
            )
            return document.problem(place, message)
    return None
