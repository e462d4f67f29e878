"""What changed in sources.yaml since a table's latest load, as sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

from lakefeed.declaration.models.table_settings import LOG


class Settings(Protocol):
    """What of a read contract sources.yaml declares (loading/plan/read_contract.py)."""

    @property
    def cursor(self) -> str | None: ...
    @property
    def key(self) -> tuple[str, ...]: ...
    @property
    def where(self) -> str | None: ...
    @property
    def initial_value(self) -> str | None: ...
    @property
    def columns(self) -> Mapping[str, str]: ...
    @property
    def only(self) -> bool: ...
    @property
    def query(self) -> str | None: ...
    @property
    def timezone(self) -> str | None: ...


def changed_settings(before: Settings, now: Settings) -> Iterator[str]:
    """The changed settings after which the table must be read in full."""
    if before.key != now.key:
        was, now_is = ", ".join(before.key) or "none", ", ".join(now.key) or "none"
        yield f"the key was {was} and is {now_is}"
    if before.cursor != now.cursor and LOG in (before.cursor, now.cursor):
        yield _changed_cursor(before.cursor, now.cursor)
    if before.query != now.query:
        yield _changed_query(before.query, now.query)
    if before.only != now.only:
        yield f"child tables are now {'excluded' if now.only else 'included'}"


def _changed_cursor(before: str | None, now: str | None) -> str:
    if before and now:
        return f"the cursor was `{before}` and is `{now}`"
    return f"the cursor is `{now}` now" if now else f"the cursor `{before}` was removed"


def _changed_query(before: str | None, now: str | None) -> str:
    if before and now:
        return "`query` changed"
    return "it is a query now, no longer a table" if now else "it is a table now, no longer a query"


def changes_without_reload(before: Settings, now: Settings, shown: str) -> Iterator[str]:
    """The changed settings that leave raw as it is, each with what it means for the next load."""
    full_refresh = f"lakefeed run --select {shown} --full-refresh"
    if before.cursor != now.cursor:
        cursor = _changed_cursor(before.cursor, now.cursor)
        yield f"{cursor}, so the table is read from the beginning"
    if before.where != now.where:
        yield (
            "`where` changed and applies to rows read from now on; to apply it to all rows: "
            f"{full_refresh}"
        )
    if before.initial_value != now.initial_value and before.cursor == now.cursor:
        yield (
            f"`initial_value` was {before.initial_value or 'not set'} and is "
            f"{now.initial_value or 'not set'}; loads continue from the checkpoint. To load the "
            f"rows in between: {full_refresh}"
        )
    zones = (before.timezone, now.timezone)
    if before.cursor == now.cursor and None not in zones and zones[0] != zones[1]:
        yield f"takes its cursor as time in {now.timezone}; the values in raw stay as they are"


def no_longer_read(before: Settings, unread: Collection[str]) -> Iterator[str]:
    """The columns that the latest load had and sources.yaml excludes now."""
    for name in before.columns:
        if name in unread:
            yield f"no longer reads column `{name}`; staging keeps it, with null in new rows"
