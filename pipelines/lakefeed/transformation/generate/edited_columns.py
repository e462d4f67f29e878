"""What an edit of `columns` changes in staging, where raw stays as it is, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lakefeed.declaration.models.json_paths import flattened_name

# By the name of the column in raw, as `staged_columns.declared_columns` gives it.
Declared = Mapping[str, Mapping[str, Any]]


def column_edits(
    before: Declared, now: Declared, only: Sequence[str] | None = None
) -> Iterator[str]:
    """What the next build of staging does otherwise, each without its subject.

    Args:
        before: what `sources.yaml` said, and what it says now.
        only: the columns to look at, by their names in raw and in this order; by default all.
    """
    for column in sorted({*before, *now}) if only is None else only:
        yield from _edits(column, before.get(column, {}), now.get(column, {}))


def _edits(column: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    was, name = before.get("name", column), now.get("name", column)
    if was != name:
        raw = f"; raw keeps `{column}`" if column != name else ""
        yield f"renames column `{was}` to `{name}` in staging{raw}"
    if before.get("type") != now.get("type"):
        kind = f"the type {now['type']}" if "type" in now else "the source's type again"
        yield f"gives column `{name}` {kind} in staging, from raw"
    old, new = _flattened(was, before), _flattened(name, now)
    if filled := [f"`{one}`" for one, how in new.items() if old.get(one) != how]:
        yield f"fills {', '.join(filled)} of all rows from raw"
    if gone := [f"`{one}`" for one in old if one not in new]:
        yield f"removes {', '.join(gone)} from staging; raw keeps `{column}`"


def _flattened(name: str, settings: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Path and type by the name of the column that `flatten` makes."""
    paths = settings.get("flatten") or {}
    return {flattened_name(name, path): (path, kind) for path, kind in paths.items()}
