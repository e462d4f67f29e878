"""What changed since a table was last loaded, in the source or in sources.yaml, and what follows.

Decided from plain data: how the newest committed load was read, and how this one will be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.source.types import widens


@dataclass(frozen=True)
class ReadAs:
    """What a load's rows depend on. Types are DuckDB's; `identity` tells a table created anew."""

    cursor: str | None
    key: tuple[str, ...]
    where: str | None
    initial_value: str | None
    columns: dict[str, str]
    identity: int | None


@dataclass(frozen=True)
class Changes:
    """`whole` tells that the table has to be read whole; the notes tell the user what and why.

    `added` are columns that rows loaded before don't have.
    """

    whole: bool = False
    added: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def changes_since(before: ReadAs | None, now: ReadAs, *, shown: str, reads_whole: bool) -> Changes:
    """What has to be done, and said, about the difference between two loads of a table.

    Args:
        shown: the table's name in commands, such as `shop.orders`.
        reads_whole: this load reads all rows anyway, so that nothing old stays.
    """
    if before is None:
        return Changes()
    forced = tuple(_what_forces_a_whole_read(before, now))
    if forced or reads_whole:
        return Changes(bool(forced), notes=() if reads_whole else forced)
    added = tuple(name for name in now.columns if name not in before.columns)
    return Changes(False, added, tuple(_what_stays_as_it_was(before, now, shown)))


def _what_forces_a_whole_read(before: ReadAs, now: ReadAs) -> Iterator[str]:
    for name, new in now.columns.items():
        old = before.columns.get(name, new)
        if old != new and not widens(old, new):
            yield f"column `{name}` was {old} and is {new}, so the table is read whole"
    if before.key != now.key:
        was, now_is = ", ".join(before.key) or "none", ", ".join(now.key) or "none"
        yield f"its key was {was} and is {now_is}, so the table is read whole"


def _what_stays_as_it_was(before: ReadAs, now: ReadAs, shown: str) -> Iterator[str]:
    again = f"lakefeed run --select {shown} --full-refresh"
    if before.cursor != now.cursor:
        was, now_is = before.cursor or "none", now.cursor or "none"
        yield f"its cursor was `{was}` and is `{now_is}`: read from the beginning"
    if before.identity and now.identity and before.identity != now.identity:
        yield (
            "the table was created anew since the last load; rows with older cursors are found "
            f"only by: {again}"
        )
    if before.where != now.where:
        yield f"`where` changed; it applies to rows read from now on, and to all with: {again}"
    if before.initial_value != now.initial_value and before.cursor == now.cursor:
        yield (
            f"`initial_value` was {before.initial_value or 'not set'} and is "
            f"{now.initial_value or 'not set'}; loads go on from the checkpoint. To load what lies "
            f"between: {again}"
        )
