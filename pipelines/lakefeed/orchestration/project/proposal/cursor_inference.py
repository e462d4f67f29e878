"""Infers how a table is best loaded: its mode and cursor, with reasons and doubts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.loading.plan.column_names import unusable_columns
from lakefeed.orchestration.project.proposal.update_signs import UPDATED_WORDS, update_signs
from lakefeed.source.inspection.tables import ColumnFacts
from lakefeed.source.inspection.types import cursor_kind
from lakefeed.source.inspection.updates import Updates

# Above this size, reading only changed row versions outweighs detecting deletes by full refresh.
_TOO_BIG_TO_READ_WHOLE = 256 * 1024 * 1024
_NONE_KNOWN = Updates()
_CREATED_WORDS = ("creat", "insert", "added", "logged", "occurred", "happened", "moved", "sent")


@dataclass(frozen=True)
class CursorChoice:
    """The cursor chosen for a table, or None, with the reasons.

    `misses_updates` is true for a column that is only set when a row is inserted.
    """

    column: Column | None
    reasons: str
    misses_updates: bool = False


@dataclass(frozen=True)
class TableFacts:
    """What `init` learns of a table from the database.

    Attributes:
        denied: columns that this role may not read.
        rows: the number of rows; None if unknown.
        size: bytes; None if unknown.
        doubts: warnings about its key (`compared_by_text`).
        refused: why the table can't be read at all; empty if it can.
        updates: what the server knows of updates of its rows.
    """

    table: CatalogueTable
    columns: dict[str, ColumnFacts]
    denied: tuple[str, ...]
    rows: int | None
    size: int | None
    doubts: tuple[str, ...] = ()
    refused: str = ""
    updates: Updates = _NONE_KNOWN

    @property
    def excluded(self) -> tuple[str, ...]:
        """Columns that aren't loaded: the role may not read them or the lake can't store them."""
        gone = {*self.denied, *self._unusable}
        return tuple(column.name for column in self.table.columns if column.name in gone)

    @property
    def why_left_out(self) -> str:
        """Why the table can't be loaded; empty if it can."""
        if self.refused:
            return on_one_line(self.refused)
        columns, unusable = [column.name for column in self.table.columns], self._unusable
        if len(self.denied) == len(columns):
            return "this role may not read it"
        if denied := [name for name in self.table.primary_key if name in self.denied]:
            return f"this role may not read {listed(denied)} in its primary key"
        if reasons := [unusable[name] for name in self.table.primary_key if name in unusable]:
            return f"its primary key has {on_one_line(reasons[0])}"
        if len(self.excluded) == len(columns):
            return f"it has {on_one_line(next(iter(unusable.values())))}"
        return ""

    @property
    def _unusable(self) -> dict[str, str]:
        # Of two columns whose names collide in the lake, keep the one in the key.
        key = set(self.table.primary_key)
        names = sorted((c.name for c in self.table.columns), key=lambda name: name not in key)
        return unusable_columns(name for name in names if name not in self.denied)


def choose_cursor(facts: TableFacts) -> CursorChoice:
    """Chooses the cursor: preferably a column maintained by a trigger, else by its name.

    A column that is only set on insert is the last resort, and is marked as such. It is chosen only
    if nothing suggests that rows are ever updated.
    """
    if not facts.table.primary_key:
        return CursorChoice(None, "no primary key")
    best = _best_column(facts)
    if best is None:
        return CursorChoice(None, "no column records when a row changed")
    chosen = facts.columns[best.name]
    if misses_updates(best, chosen) and (signs := _signs_of_updates(facts, best)):
        listed = ", ".join(signs)
        reasons = f"{yaml_name(best.name)} is only set on insert, but rows are updated ({listed})"
        return CursorChoice(None, reasons)
    return CursorChoice(best, ", ".join(_reasons(best, chosen)), misses_updates(best, chosen))


def choose_append_cursor(facts: TableFacts) -> CursorChoice:
    """Chooses the cursor of a table without a key, if all says that its rows are only inserted.

    Of a table that can be read whole in little time, no load misses or doubles a row.
    """
    table, best = facts.table, _best_column(facts)
    has_key = table.primary_key or table.unique
    is_log = table.kind in ("table", "partitioned table") and not has_key
    if best is None or not is_log or (facts.size or 0) <= _TOO_BIG_TO_READ_WHOLE:
        return CursorChoice(None, "")
    chosen = facts.columns[best.name]
    is_insert_only = misses_updates(best, chosen) and tells_only_of_inserts(facts, best)
    if best.nullable or not is_insert_only:
        return CursorChoice(None, "")
    indexed = "indexed" if chosen.indexed else "not indexed"
    reasons = f"no primary key; {yaml_name(best.name)} is set on insert, {indexed}"
    return CursorChoice(best, reasons, misses_updates=True)


def doubt_of_append(cursor: str) -> str:
    """The warning about a table of which every row is kept, without a key."""
    return (
        f"it has no key, so every row that its cursor {yaml_name(cursor)} leads to is kept (`mode: "
        "append`): a row that is updated is missed, or kept a second time"
    )


def doubts_of(facts: TableFacts) -> Iterator[str]:
    """Warnings about the table's key and cursor."""
    yield from doubts_of_key(facts)
    if appended := choose_append_cursor(facts).column:
        yield doubt_of_append(appended.name)
    choice = choose_cursor(facts)
    if choice.column and choice.misses_updates:
        yield (
            f"its cursor {listed([choice.column.name])} is only set when a row is inserted, so "
            "later updates are missed"
        )


def doubts_of_key(facts: TableFacts) -> Iterator[str]:
    """Warnings about the table's key."""
    yield from map(on_one_line, facts.doubts)
    if facts.table.heirs:
        heirs = listed(facts.table.heirs)
        yield (
            "read without the tables that inherit from it, since its primary key isn't enforced "
            f"across them ({heirs})"
        )


def _best_column(facts: TableFacts) -> Column | None:
    """The column that is likeliest to tell when a row was written; None if none is likely to."""
    candidates = [
        (_rank(column, facts.columns[column.name]), column)
        for column in facts.table.columns
        if column.name not in facts.excluded
        and cursor_kind(column.type) in ("timestamptz", "timestamp")
    ]
    rank, best = max(candidates, key=lambda candidate: candidate[0], default=(0, None))
    return best if rank else None


def _rank(column: Column, facts: ColumnFacts) -> int:
    name = column.name.lower()
    score = 0
    if facts.kept_by_trigger:
        score += 100
    if any(word in name for word in UPDATED_WORDS):
        score += 50
    elif any(word in name for word in _CREATED_WORDS) and facts.set_by_default:
        score += 10
    if score:
        score += 5 * facts.indexed + 3 * facts.not_null + 2 * facts.set_by_default
        score += cursor_kind(column.type) == "timestamptz"
    return score


def _reasons(column: Column, facts: ColumnFacts) -> Iterator[str]:
    if facts.kept_by_trigger:
        yield "maintained by a trigger"
    elif misses_updates(column, facts):
        yield "only set on insert: later updates are NOT loaded"
    if facts.set_by_default:
        yield "has a default"
    yield "indexed" if facts.indexed else "not indexed"
    yield "not null" if facts.not_null else "nullable"


def misses_updates(column: Column, facts: ColumnFacts) -> bool:
    """Whether the column is only set when a row is inserted, by its name."""
    name = column.name.lower()
    is_of_updates = any(word in name for word in UPDATED_WORDS)
    is_of_inserts = any(word in name for word in _CREATED_WORDS)
    return is_of_inserts and not is_of_updates and not facts.kept_by_trigger


def tells_only_of_inserts(facts: TableFacts, cursor: Column) -> bool:
    """Whether nothing suggests that rows with this cursor are ever updated."""
    named = any(word in cursor.name.lower() for word in UPDATED_WORDS)
    return not (named or facts.columns[cursor.name].kept_by_trigger) and not _signs_of_updates(
        facts, cursor
    )


def _signs_of_updates(facts: TableFacts, cursor: Column) -> list[str]:
    defaulted = {name for name, column in facts.columns.items() if column.set_by_default}
    return update_signs(facts.table.columns, cursor.name, defaulted, facts.updates)


def reads_row_versions(facts: TableFacts) -> bool:
    """Whether `cursor: xmin` is proposed, if no column is."""
    table = facts.table
    has_versions = table.kind in ("table", "partitioned table")
    return bool(table.primary_key and has_versions and (facts.size or 0) > _TOO_BIG_TO_READ_WHOLE)


def listed(names: Iterable[str]) -> str:
    """Names as YAML has them in a list."""
    return ", ".join(map(yaml_name, names))


def on_one_line(text: str) -> str:
    """The text without line breaks, which would end the YAML comment that contains it."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
