"""What `cursor: wal` means for a table's other settings: what it sets, drops and rules out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lakefeed.declaration.document.positions import Document, YamlPath
from lakefeed.declaration.models.columns import EACH
from lakefeed.declaration.models.table_settings import LOG
from lakefeed.declaration.table import is_own
from lakefeed.errors import Problem

# These belong to other kinds of cursors, from which a table may turn away: as such, each with the
# value that does nothing, and why it does nothing here.
_OF_OTHERS = {
    "lookback": (0, "`lookback` doesn't apply to `cursor: wal`, which misses no change"),
    "on_null_cursor": (
        "include",
        "`on_null_cursor` doesn't apply to `cursor: wal`, which is no column",
    ),
    "resume_above": (
        "never",
        "`resume_above` doesn't apply to `cursor: wal`: its first load is one read at one "
        "snapshot, from which the log goes on",
    ),
    "on_detach": (
        None,
        "`on_detach` doesn't apply to `cursor: wal`: rows of a partition that is detached stay, "
        "since the log has no deletes for them",
    ),
}
# What the log can't do, wherever it is set; with what to write for a table that shall have it not.
_IMPOSSIBLE = {
    "where": (
        "`where` doesn't apply to `cursor: wal`: the log has the changes of all rows; filter them "
        "in a model, or use another cursor",
        "where: null",
    ),
    "only": (
        "`only` doesn't apply to `cursor: wal`: the log has the changes of each child table by "
        "its own name",
        "only: false",
    ),
}
_OF_COLUMNS = ("hash", "mask", "truncate", "type")


def settle_log(
    merged: dict[str, Any],
    origins: dict[str, str],
    paths: Mapping[str, YamlPath],
    path: YamlPath,
) -> None:
    """Drops what earlier levels set for another kind of cursor, and lets deletes be removed.

    Args:
        merged: the settings of all levels.
        origins: `file:line` of each.
        paths: where each was set last.
        path: that of the table's entry.
    """
    if not reads_log(merged):
        return
    for name in _OF_OTHERS:
        if name in merged and _rank(paths[name], path) < _rank(paths["cursor"], path):
            merged.pop(name)
            origins.pop(name)
    if "deletes" not in merged:
        merged["deletes"] = "remove"
        origins["deletes"] = origins["cursor"]


def problem_of_log(
    document: Document, path: YamlPath, merged: Mapping[str, Any], paths: Mapping[str, YamlPath]
) -> Problem | None:
    """The first setting that makes no sense with `cursor: wal`.

    Args:
        path: that of the table's entry.
        merged: the settings of all levels.
        paths: where each was set last.
    """
    for place, why in _problems(path, merged, paths):
        return document.problem(place, f"`{path[-1]}`: {why}")
    return None


def _problems(
    path: YamlPath, merged: Mapping[str, Any], paths: Mapping[str, YamlPath]
) -> Iterator[tuple[YamlPath, str]]:
    if merged.get("cursor") != LOG:
        return
    if merged.get("mode") == "full_refresh":
        if _rank(paths["mode"], path) <= _rank(paths["cursor"], path):
            yield (
                paths["mode"],
                "`mode: full_refresh` reads the whole table each time, `cursor: wal` the changes; "
                "remove one of them",
            )
        return
    if not reads_log(merged):
        return
    for name, (why, instead) in _IMPOSSIBLE.items():
        if merged.get(name):
            is_here = paths[name][:-1] == path
            remedy = "" if is_here else f"; override it for this table (`{instead}`)"
            yield paths[name], f"{why}{remedy}"
    for name, (nothing, why) in _OF_OTHERS.items():
        if name in merged and merged[name] != nothing and not _is_zero(merged[name]):
            yield paths[name], f"{why}; remove it"
    yield from _problems_of_columns(merged, paths)


def _problems_of_columns(
    merged: Mapping[str, Any], paths: Mapping[str, YamlPath]
) -> Iterator[tuple[YamlPath, str]]:
    """Own columns alone: the columns of defaults and wildcards may be those of other tables."""
    for name, settings in merged.get("columns", {}).get(EACH, {}).items():
        place = paths.get(f"columns.{name}", ())
        setting = next((key for key in _OF_COLUMNS if settings.get(key) is not None), None)
        if setting and is_own(place):
            yield place, why_not_of_log(name, setting)


def why_not_of_log(column: str, setting: str) -> str:
    """Why a column of a table that is read from the log can't have this setting."""
    if setting == "type":
        return (
            f"`{column}` can't have a `type` with `cursor: wal`: the log has the source's values, "
            "and nothing there converts them; convert it in a model"
        )
    return (
        f"`{column}` can't have `{setting}` with `cursor: wal`: the log has clear values, which "
        "would leave the database; exclude the column, or use another cursor"
    )


def reads_log(merged: Mapping[str, Any]) -> bool:
    """Whether these settings of all levels read changes from the log."""
    return merged.get("cursor") == LOG and merged.get("mode", "incremental") == "incremental"


def _is_zero(value: Any) -> bool:
    return isinstance(value, str) and value in ("0s", "0m", "0h", "0d")


def _rank(place: YamlPath, path: YamlPath) -> int:
    """How specific the level is that has a setting: the table, a wildcard, or defaults."""
    return 5 if place[:-1] == path else len(place) - 1
