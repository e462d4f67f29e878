"""What changed in sources.yaml since a table's latest load, as sentences."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

from lakefeed.declaration.explain import NOTHING, shown
from lakefeed.declaration.models.table_settings import LOG
from lakefeed.declaration.table import Table

# The settings that change what loads do from the next one on, and nothing of what they brought;
# those of any table, and those of tables with a cursor column.
_OF_ANY = ("deletes", "on_detach")
_BY_CURSOR = ("lookback", "on_null_cursor")
_MEANINGS = {
    ("deletes", "ignore"): "from now on, rows deleted in the source stay in staging",
    ("deletes", "remove"): "each load removes rows deleted in the source from staging; without "
    "`cursor: wal`, it compares all keys to find them",
    ("deletes", "mark"): "each load sets `_deleted_at` on rows deleted in the source; without "
    "`cursor: wal`, it compares all keys to find them",
    ("on_detach", "keep"): "rows of partitions that are detached or dropped from now on stay in "
    "staging",
    ("on_detach", "remove"): "the next load removes the rows of detached and dropped partitions, "
    "also of those kept so far; they don't count towards `max_shrink`",
    ("on_detach", NOTHING): "rows of detached and dropped partitions count as deleted, also those "
    "kept so far",
    ("on_null_cursor", "include"): "every load reads the rows without a cursor value",
    ("on_null_cursor", "exclude"): "rows without a cursor value are no longer read",
    ("on_null_cursor", "error"): "a row without a cursor value fails the table",
}
_MEANING_OF_LOOKBACK = (
    "the next load starts this far before its checkpoint; the checkpoint is unchanged"
)


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
    @property
    def protected(self) -> Mapping[str, str]: ...
    @property
    def settings(self) -> Mapping[str, str]: ...


def settings_of(table: Table) -> dict[str, str]:
    """The settings whose edit is told and has an effect, as they would be written in YAML."""
    names = (*_OF_ANY, *(_BY_CURSOR if table.cursor else ()))
    return {name: shown(getattr(table.settings, name)) for name in names}


def meaning_from_now_on(setting: str, value: str) -> str:
    """What such a setting means for loads from now on; empty for any other setting."""
    if setting == "lookback":
        return _MEANING_OF_LOOKBACK
    return _MEANINGS.get((setting, value), "")


def changes_from_now_on(before: Settings, now: Settings) -> Iterator[str]:
    """The changed settings of this kind; none if an earlier version recorded the latest load."""
    for name, value in now.settings.items():
        was = before.settings.get(name, value)
        if was != value:
            states = [("not set" if one == NOTHING else one) for one in (was, value)]
            meaning = meaning_from_now_on(name, value)
            yield f"`{name}` was {states[0]} and is {states[1]}: {meaning}"


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


def changes_with_reload(before: Settings, now: Settings) -> Iterator[str]:
    """The changed settings that are no reason to read the table in full, and that apply to all rows
    where it is read so anyway."""
    if before.cursor != now.cursor and LOG not in (before.cursor, now.cursor):
        if now.cursor is None:
            yield f"reads all rows each time now, no longer by `{before.cursor}`"
        else:
            yield _changed_cursor(before.cursor, now.cursor)
    if before.where != now.where:
        yield "`where` changed and applies to all rows"
    if before.cursor != now.cursor:
        return
    if before.initial_value != now.initial_value:
        values = [value or "not set" for value in (before.initial_value, now.initial_value)]
        yield f"`initial_value` was {values[0]} and is {values[1]}"
    if None not in (before.timezone, now.timezone) and before.timezone != now.timezone:
        yield f"takes its cursor as time in {now.timezone}"


def no_longer_read(
    before: Settings, unread: Collection[str], *, reads_whole: bool
) -> Iterator[str]:
    """The columns that the latest load had and sources.yaml excludes now."""
    which = "all" if reads_whole else "new"
    for name in before.columns:
        if name in unread:
            yield f"no longer reads column `{name}`; staging keeps it, with null in {which} rows"


def protected_otherwise(before: Settings, now: Settings) -> Iterator[tuple[str, str]]:
    """The columns that are hashed, masked or cut in another way, or clear again, each as a
    sentence."""
    for name in (name for name in now.columns if name in before.columns):
        was, now_is = (contract.protected.get(name, "clear") for contract in (before, now))
        if was != now_is:
            yield name, f"column `{name}` was {was} and is {now_is}"


def still_clear(before: Settings, now: Settings) -> Iterator[str]:
    """What to do about columns that are protected now and that earlier loads have in clear."""
    names = [n for n in now.protected if n in before.columns and n not in before.protected]
    if names:
        columns = ", ".join(f"`{name}`" for name in names)
        still = f"earlier loads in raw still hold clear values of {columns}"
        yield f"{still}; to remove them: lakefeed prune"
