"""Mistakes in the merged settings of a table, which no level has by itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lakefeed.declaration.column_checks import problem_of_columns
from lakefeed.declaration.document.positions import Document, YamlPath
from lakefeed.declaration.models.table_settings import LOG, ROW_VERSION, TableDeclaration
from lakefeed.errors import Problem

_OF_TABLES = {
    "only": "`only` doesn't apply to a `query`; write `from only` in the query itself",
    "parallel": "`parallel` doesn't apply to a `query`, which is read by one session",
    "on_detach": "`on_detach` doesn't apply to a `query`, which has no partitions",
}
_NOT_OF_QUERIES = {
    ROW_VERSION: "the rows of a `query` have no `xmin`",
    LOG: "the log has the changes of tables, not those of a `query`",
}
_WITH_UPDATES = {
    ROW_VERSION: "by `xmin`, which changes with updates",
    LOG: "the log, which has updates and deletes",
}
# How a table overrides what its defaults set and `mode: append` rules out.
_OVERRIDDEN = {
    "primary_key": "primary_key: null",
    "deletes": "deletes: ignore",
    "history": "history: false",
}


def problem_of_query(
    document: Document, path: YamlPath, merged: Mapping[str, Any], paths: Mapping[str, YamlPath]
) -> Problem | None:
    """The first setting that makes no sense with a `query`.

    Args:
        path: that of the table's entry.
        merged: the settings of all levels.
        paths: where each was set last.
    """
    entry = path[-1]
    for name, refused in _OF_TABLES.items():
        if merged.get(name) and paths[name][:-1] == path:
            return document.problem(paths[name], f"`{entry}`: {refused}", value=True)
    cursor = merged.get("cursor")
    why = _NOT_OF_QUERIES.get(cursor) if isinstance(cursor, str) else None
    if why and merged.get("mode") != "full_refresh":
        message = (
            f"`{entry}`: {why}; use a column of the query as its cursor, or set `mode: "
            "full_refresh`"
        )
        return document.problem(paths["cursor"], message)
    return None


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
    problem = _problem_of_append(document, path, paths, settings) if mode == "append" else None
    problem = problem or problem_of_columns(document, paths, settings, mode)
    problem = problem or _problem_of_resume_above(document, path, paths, settings, mode=mode)
    return problem or _problem_of_detached(document, path, paths, settings, mode=mode)


def _problem_of_detached(
    document: Document,
    path: YamlPath,
    paths: Mapping[str, YamlPath],
    settings: TableDeclaration,
    *,
    mode: str | None,
) -> Problem | None:
    """An entry that removes the rows of partitions but ignores all others that are deleted."""
    place = paths.get("on_detach", ())
    sees_deletes = mode == "full_refresh" or settings.deletes != "ignore"
    if settings.on_detach != "remove" or sees_deletes or place[:-1] != path:
        return None
    message = (
        f"`{path[-1]}`: `on_detach: remove` needs `deletes: remove` or `mark`; `ignore` keeps "
        "every row that was loaded"
    )
    return document.problem(place, message, value=True)


def _problem_of_resume_above(
    document: Document,
    path: YamlPath,
    paths: Mapping[str, YamlPath],
    settings: TableDeclaration,
    *,
    mode: str | None,
) -> Problem | None:
    """An entry that wants ranges of a first load that can't have any."""
    place = paths.get("resume_above", ())
    if place[:-1] != path or settings.resume_above_bytes is None or not settings.enabled:
        return None
    if settings.query is not None:
        why = "a `query`, whose rows have no index to read ranges by"
    elif mode == "append":
        why = "`mode: append`, which has no key to read ranges by"
    elif mode == "full_refresh":
        why = "`mode: full_refresh`, each load of which is one read"
    elif settings.cursor and settings.cursor.initial_value is not None:
        why = "a cursor with an `initial_value`"
    else:
        return None
    return document.problem(
        place, f"`{path[-1]}`: `resume_above` doesn't apply to {why}; remove it"
    )


def _problem_of_append(
    document: Document, path: YamlPath, paths: Mapping[str, YamlPath], settings: TableDeclaration
) -> Problem | None:
    """The first setting that `mode: append` lacks or rules out, wherever it was set."""
    entry = path[-1]
    if not settings.cursor:
        return document.problem(
            path,
            f"`{entry}` has no cursor: `mode: append` needs the column that increases with every "
            "inserted row (`cursor: created_at`)",
        )
    place = paths.get("retention", ())
    if settings.retention and place[:-1] == path:
        message = (
            f"`{entry}`: `retention` removes replaced versions of a row, and `mode: append` has "
            "none: all rows stay; remove it"
        )
        return document.problem(place, message)
    for name, why in _ruled_out_by_append(settings).items():
        place = paths[name]
        overridden = _OVERRIDDEN.get(name) if place[:-1] != path else None
        remedy = f"; override it for this table (`{overridden}`)" if overridden else ""
        return document.problem(place, f"`{entry}`: {why}{remedy}")
    return None


def _ruled_out_by_append(settings: TableDeclaration) -> dict[str, str]:
    """The settings that `mode: append` can't have, each with the reason."""
    found = {}
    if settings.cursor and (word := settings.cursor.word):
        found["cursor"] = (
            f"`mode: append` can't read {_WITH_UPDATES[word]} too; name the column that increases "
            "with every inserted row (`cursor: created_at`)"
        )
    if settings.primary_key:
        found["primary_key"] = (
            "`mode: append` keeps every row and has no `primary_key`; to merge rows by it, set "
            "`mode: incremental`"
        )
    if settings.deletes != "ignore":
        found["deletes"] = (
            f"`deletes: {settings.deletes}` finds deleted rows by their key, and `mode: append` "
            "has none"
        )
    if settings.history:
        found["history"] = (
            "`history` matches the versions of a row by its key, and `mode: append` has none"
        )
    return found
