"""Signs that the rows of a table are updated, although no column records when."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.source.inspection.types import cursor_kind
from lakefeed.source.inspection.updates import Updates
from lakefeed.wording import counted

UPDATED_WORDS = ("updat", "modif", "chang", "touched")
# What a row is told by as long as it lives, so that it changes.
_STATES = {"status", "state", "version", "revision", "attempts", "retries", "deleted"}
_TIMES = ("timestamptz", "timestamp", "date")


def update_signs(
    columns: Sequence[Column], cursor: str, defaulted: Collection[str], updates: Updates
) -> list[str]:
    """What suggests that rows are updated; empty if nothing does.

    Args:
        cursor: the column that is only set when a row is inserted.
        defaulted: the columns with the database's clock as their default.
        updates: what the server knows of updates.
    """
    return list(_signs(columns, {cursor, *defaulted}, updates))


def _signs(
    columns: Sequence[Column], set_on_insert: Collection[str], updates: Updates
) -> Iterator[str]:
    if updates.rows:
        yield f"{counted(updates.rows, 'update')} counted"
    if updates.has_trigger:
        yield "a trigger on update"
    for column in columns:
        if column.name not in set_on_insert and _tells_of_updates(column):
            yield f"column {yaml_name(column.name)}"


def _tells_of_updates(column: Column) -> bool:
    """Whether its name is that of a change or a state, or it is a time that comes later."""
    name = column.name.lower()
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", column.name).lower())
    is_later = column.nullable and cursor_kind(column.type) in _TIMES
    return is_later or not _STATES.isdisjoint(words) or any(w in name for w in UPDATED_WORDS)
