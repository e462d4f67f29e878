"""What an edit of `columns` changes in staging, where raw stays as it is, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lakefeed.declaration.models.json_paths import flattened_name
from lakefeed.wording import named

# By the name of the column in raw: what `staged_columns.declared_columns` gives.
Declared = Mapping[str, Mapping[str, Any]]


def edits_of(built: Declared, declared: Declared) -> str | None:
    """What staging gets otherwise than it was built; None if nothing.

    Args:
        built: what `sources.yaml` said when the model was built.
        declared: what it says now.
    """
    edits = [
        edit
        for column in sorted({*built, *declared})
        for edit in _edits(column, built.get(column, {}), declared.get(column, {}))
    ]
    if not edits:
        return None
    return f"staging is built again from raw: {'; '.join(edits)}"


def _edits(column: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    was, name = before.get("name", column), now.get("name", column)
    if was != name:
        yield f"`{was}` is now named `{name}`"
    if before.get("type") != now.get("type"):
        kind = now.get("type")
        yield f"`{name}` is now {kind}" if kind else f"`{name}` has the source's type again"
    of_before, of_now = _flattened(was, before), _flattened(name, now)
    filled = [new for new, how in of_now.items() if of_before.get(new) != how]
    if filled:
        yield f"{named(filled)} {'is' if len(filled) == 1 else 'are'} filled from `{name}`"
    gone = [old for old in of_before if old not in of_now]
    if gone:
        yield f"{named(gone)} {'is' if len(gone) == 1 else 'are'} removed"


def _flattened(name: str, settings: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Path and type by the name of the column that `flatten` makes."""
    return {
        flattened_name(name, path): (path, kind)
        for path, kind in (settings.get("flatten") or {}).items()
    }
