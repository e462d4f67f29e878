"""Mistakes in the merged settings of a table, which no level has by itself."""

from __future__ import annotations

from lakefeed.declaration.document.positions import Document, YamlPath
from lakefeed.declaration.models.table_settings import TableDeclaration
from lakefeed.declaration.table import ROW_VERSION
from lakefeed.errors import Problem


def problem_of_settings(
    document: Document, path: YamlPath, settings: TableDeclaration, mode: str | None
) -> Problem | None:
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
    declared = settings.cursor
    if declared and declared.column == ROW_VERSION and declared.initial_value is not None:
        return document.problem(path, f"`{entry}`: `cursor: xmin` accepts no `initial_value`")
    return None
