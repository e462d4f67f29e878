"""Proposes a declaration for a database: a mode and cursor for each table, with reasons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lakefeed.declaration.catalogue import CatalogueTable, Column
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.declaration.table_names import shortest_entry
from lakefeed.loading.plan.table_plan import unusable_columns
from lakefeed.orchestration.project.lake_names import names_in_lake
from lakefeed.orchestration.project.update_signs import UPDATED_WORDS, update_signs
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
            return _on_one_line(self.refused)
        columns, unusable = [column.name for column in self.table.columns], self._unusable
        if len(self.denied) == len(columns):
            return "this role may not read it"
        if denied := [name for name in self.table.primary_key if name in self.denied]:
            return f"this role may not read {_listed(denied)} in its primary key"
        if reasons := [unusable[name] for name in self.table.primary_key if name in unusable]:
            return f"its primary key has {_on_one_line(reasons[0])}"
        if len(self.excluded) == len(columns):
            return f"it has {_on_one_line(next(iter(unusable.values())))}"
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
    table = facts.table
    if not table.primary_key:
        return CursorChoice(None, "no primary key")
    candidates = [
        (_rank(column, facts.columns[column.name]), column)
        for column in table.columns
        if column.name not in facts.excluded
        and cursor_kind(column.type) in ("timestamptz", "timestamp")
    ]
    rank, best = max(candidates, key=lambda candidate: candidate[0], default=(0, None))
    if best is None or rank == 0:
        return CursorChoice(None, "no column records when a row changed")
    chosen = facts.columns[best.name]
    if _misses_updates(best, chosen) and (signs := _signs_of_updates(facts, best)):
        listed = ", ".join(signs)
        reasons = f"{yaml_name(best.name)} is only set on insert, but rows are updated ({listed})"
        return CursorChoice(None, reasons)
    return CursorChoice(best, ", ".join(_reasons(best, chosen)), _misses_updates(best, chosen))


def is_incremental(facts: TableFacts) -> bool:
    """Whether the table is loaded incrementally, by a cursor column or by row versions."""
    return bool(choose_cursor(facts).column) or _is_big_with_row_versions(facts)


def doubts_of(facts: TableFacts) -> Iterator[str]:
    """Warnings about the table's key and cursor."""
    yield from _doubts_of_key(facts)
    choice = choose_cursor(facts)
    if choice.column and choice.misses_updates:
        yield (
            f"its cursor {_listed([choice.column.name])} is only set when a row is inserted, so "
            "later updates are missed"
        )


def _doubts_of_key(facts: TableFacts) -> Iterator[str]:
    yield from map(_on_one_line, facts.doubts)
    if facts.table.heirs:
        heirs = _listed(facts.table.heirs)
        yield (
            "read without the tables that inherit from it, since its primary key isn't enforced "
            f"across them ({heirs})"
        )


def propose_declaration(
    source: str, schema: str, variable: str, tables: Iterable[TableFacts]
) -> str:
    """The text of `sources.yaml`, with a comment that explains each table."""
    tables = list(tables)
    loaded = [facts for facts in tables if not facts.why_left_out]
    names = names_in_lake(source, [facts.table.name for facts in loaded])
    lines = {
        facts.table.name: _declared(schema, facts, name)
        for facts, name in zip(loaded, names, strict=True)
    }
    listed = "".join(lines.get(f.table.name) or _left_out(schema, f) for f in tables)
    return (
        "# The tables that Lakefeed loads, written by `lakefeed init`.\n"
        f"# All settings: `lakefeed schema`. One table's settings: `lakefeed explain {source}."
        "TABLE`.\n"
        "version: 1\n\n"
        "sources:\n"
        f"  {source}:\n"
        f"    connection: ${{{variable}}}\n"
        f"    schema: {yaml_name(schema)}\n"
        "    # The safe horizon doesn't cover timestamps set by applications: look back a little.\n"
        "    defaults: {lookback: 30m}\n"
        "    tables:\n"
        f"{listed}"
    )


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
    elif _misses_updates(column, facts):
        yield "only set on insert: later updates are NOT loaded"
    if facts.set_by_default:
        yield "has a default"
    yield "indexed" if facts.indexed else "not indexed"
    yield "not null" if facts.not_null else "nullable"


def _misses_updates(column: Column, facts: ColumnFacts) -> bool:
    name = column.name.lower()
    is_of_updates = any(word in name for word in UPDATED_WORDS)
    is_of_inserts = any(word in name for word in _CREATED_WORDS)
    return is_of_inserts and not is_of_updates and not facts.kept_by_trigger


def _signs_of_updates(facts: TableFacts, cursor: Column) -> list[str]:
    defaulted = {name for name, column in facts.columns.items() if column.set_by_default}
    return update_signs(facts.table.columns, cursor.name, defaulted, facts.updates)


def _left_out(schema: str, facts: TableFacts) -> str:
    return f"      # {_entry(schema, facts)}: left out, {facts.why_left_out} ({_about(facts)})\n"


def _declared(schema: str, facts: TableFacts, name: str | None) -> str:
    choice, table = choose_cursor(facts), facts.table
    doubts = "".join(f"      # {doubt}\n" for doubt in _doubts_of_key(facts))
    key = f"key {_listed(table.primary_key)}; " if table.primary_key else ""
    settings, remark = _settings(facts, choice, name)
    about = f"      # {_about(facts)}; {key}{choice.reasons}{remark}\n"
    return f"{about}{doubts}      {_entry(schema, facts)}: {{{settings}}}\n"


def _entry(schema: str, facts: TableFacts) -> str:
    return yaml_name(shortest_entry(schema, facts.table.name))


def _about(facts: TableFacts) -> str:
    rows = "rows unknown" if facts.rows is None else f"about {facts.rows:,} rows"
    return rows if facts.size is None else f"{rows}, {_readable(facts.size)}"


def _settings(facts: TableFacts, choice: CursorChoice, name: str | None) -> tuple[str, str]:
    settings, remark = "mode: full_refresh", ""
    if choice.column is not None:
        column = yaml_name(choice.column.name)
        settings = f"cursor: {column}"
        if cursor_kind(choice.column.type) == "timestamp":
            # PostgreSQL doesn't record the time zone of a `timestamp`: only its owner knows it.
            settings = f"cursor: {{column: {column}, timezone: UTC}}"
            remark = "; check the timezone"
    elif _is_big_with_row_versions(facts):
        settings = "cursor: xmin"
        remark = ", so changes are found by row version; `deletes: remove` also finds deletes"
    if facts.table.heirs:
        settings += ", only: true"
    if facts.excluded:
        settings += f", columns: {{exclude: [{_listed(facts.excluded)}]}}"
    if name:
        settings += f", name: {name}"
    return settings, remark


def _is_big_with_row_versions(facts: TableFacts) -> bool:
    table = facts.table
    has_versions = table.kind in ("table", "partitioned table")
    return bool(table.primary_key and has_versions and (facts.size or 0) > _TOO_BIG_TO_READ_WHOLE)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(yaml_name, names))


def _on_one_line(text: str) -> str:
    """The text without line breaks, which would end the YAML comment that contains it."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
