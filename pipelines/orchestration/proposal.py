"""The declaration that `init` proposes for a database: a mode and cursor a table, and why."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml

from pipelines.declaration.catalogue import CatalogueTable, Column
from pipelines.declaration.tables import lake_name_of
from pipelines.source.inspect import ColumnFacts
from pipelines.source.types import cursor_kind

_UPDATED_WORDS = ("updat", "modif", "chang", "touched")
# From here on a scan for changed row versions is worth more than seeing rows go.
_TOO_BIG_TO_READ_WHOLE = 256 * 1024 * 1024
_CREATED_WORDS = ("creat", "insert", "added", "logged", "occurred", "happened", "moved", "sent")


@dataclass(frozen=True)
class CursorChoice:
    """The cursor that init chooses for a table, and why; None where nothing serves."""

    column: Column | None
    reasons: str


@dataclass(frozen=True)
class TableFacts:
    """What the database says of a table. `rows` is None where nobody counted.

    `doubts` are what `compared_by_text` says of its key.
    """

    table: CatalogueTable
    columns: dict[str, ColumnFacts]
    denied: tuple[str, ...]
    rows: int | None
    size: int
    doubts: tuple[str, ...] = ()

    @property
    def readable(self) -> bool:
        return len(self.denied) < len(self.table.columns)


def choose_cursor(facts: TableFacts) -> CursorChoice:
    """Ranks the columns that could be the cursor: kept by a trigger first, then by its name.

    A column that is only set at insertion serves where rows never change; it is the last resort
    and says so.
    """
    table = facts.table
    if not table.primary_key:
        return CursorChoice(None, "no primary key")
    if set(table.primary_key) & set(facts.denied):
        return CursorChoice(None, "this role may not read its primary key")
    ranked = [
        (_rank(column, facts.columns[column.name]), column)
        for column in table.columns
        if column.name not in facts.denied
        and cursor_kind(column.type) in ("timestamptz", "timestamp")
    ]
    rank, best = max(ranked, key=lambda one: one[0], default=(0, None))
    if best is None or rank == 0:
        return CursorChoice(None, "no column moves with every change")
    return CursorChoice(best, ", ".join(_reasons(best, facts.columns[best.name])))


def doubts_of(facts: TableFacts) -> Iterator[str]:
    """What is to be known of the table's key."""
    yield from facts.doubts
    if facts.table.heirs:
        heirs = ", ".join(facts.table.heirs)
        yield f"read alone, since no key of its own holds over what inherits from it ({heirs})"


def propose_declaration(
    source: str, schema: str, variable: str, tables: Iterable[TableFacts]
) -> str:
    """The text of `sources.yaml`, each table with a comment that explains it."""
    tables = list(tables)
    own = {
        facts.table.name for facts in tables if lake_name_of(facts.table.name) == facts.table.name
    }
    listed = "".join(_table_lines(facts, own) for facts in tables)
    return (
        "# What Lakefeed loads, written by `lakefeed init`. Every key: `lakefeed schema`;\n"
        f"# what applies to one table: `lakefeed explain {source}.TABLE`.\n"
        "version: 1\n\n"
        "sources:\n"
        f"  {source}:\n"
        f"    connection: ${{{variable}}}\n"
        f"    schema: {_yaml_name(schema)}\n"
        "    # Clocks of applications aren't covered by the safe horizon: look back a little.\n"
        "    defaults: {lookback: 30m}\n"
        "    tables:\n"
        f"{listed}"
    )


def _rank(column: Column, facts: ColumnFacts) -> int:
    name = column.name.lower()
    score = 0
    if facts.kept_by_trigger:
        score += 100
    if any(word in name for word in _UPDATED_WORDS):
        score += 50
    elif any(word in name for word in _CREATED_WORDS) and facts.set_by_default:
        score += 10
    if score:
        score += 5 * facts.indexed + 3 * facts.not_null + 2 * facts.set_by_default
        score += cursor_kind(column.type) == "timestamptz"
    return score


def _reasons(column: Column, facts: ColumnFacts) -> Iterator[str]:
    if facts.kept_by_trigger:
        yield "kept by a trigger"
    elif any(word in column.name.lower() for word in _CREATED_WORDS):
        yield "set when a row is inserted: updates of old rows are NOT seen"
    if facts.set_by_default:
        yield "has a default"
    yield "indexed" if facts.indexed else "not indexed"
    yield "not null" if facts.not_null else "may be null"


def _table_lines(facts: TableFacts, taken: set[str]) -> str:
    table = facts.table
    # A name with a dot would read as schema and table.
    entry = _yaml_name(table.qualified if "." in table.name else table.name)
    about = f"{_counted(facts.rows)}, {_readable(facts.size)}"
    if not facts.readable:
        return f"      # {entry}: left out, this role may not read it ({about})\n"
    choice = choose_cursor(facts)
    doubts = "".join(f"      # {doubt}\n" for doubt in doubts_of(facts))
    key = f"key {', '.join(table.primary_key)}; " if table.primary_key else ""
    settings, remark = _settings(facts, choice, _free_name(table.name, taken))
    about = f"      # {about}; {key}{choice.reasons}{remark}\n"
    return f"{about}{doubts}      {entry}: {{{settings}}}\n"


def _settings(facts: TableFacts, choice: CursorChoice, name: str | None) -> tuple[str, str]:
    settings, remark = "mode: full_refresh", ""
    if choice.column is not None:
        column = _yaml_name(choice.column.name)
        settings = f"cursor: {column}"
        if cursor_kind(choice.column.type) == "timestamp":
            # Which zone a bare timestamp is kept in, only its owner knows.
            settings = f"cursor: {{column: {column}, timezone: UTC}}"
            remark = "; check the timezone"
    elif _is_big_with_row_versions(facts):
        settings = "cursor: xmin"
        remark = ", so row versions tell what is new; `deletes: remove` would tell what is gone"
    if facts.table.heirs:
        settings += ", only: true"
    if facts.denied:
        settings += f", columns: {{exclude: [{', '.join(map(_yaml_name, facts.denied))}]}}"
    if name:
        settings += f", name: {name}"
    return settings, remark


def _is_big_with_row_versions(facts: TableFacts) -> bool:
    table = facts.table
    has_key = table.primary_key and not set(table.primary_key) & set(facts.denied)
    has_versions = table.kind in ("table", "partitioned table")
    return bool(has_key and has_versions and facts.size > _TOO_BIG_TO_READ_WHOLE)


def _free_name(table: str, taken: set[str]) -> str | None:
    """A `name` for a table whose own would be taken in the lake, or is unusable there."""
    wanted = lake_name_of(table)
    usable = wanted if re.match("[a-z]", wanted) else f"table_{wanted}".rstrip("_")
    free, number = usable, 1
    while free in taken and free != table:
        number += 1
        free = f"{usable}_{number}"
    taken.add(free)
    return None if free == wanted else free


def _yaml_name(name: str) -> str:
    """A name as YAML reads it back: `on`, `null` and `1e3` are no names to YAML."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and yaml.safe_load(name) == name
    return name if plain else json.dumps(name, ensure_ascii=False)


def _counted(rows: int | None) -> str:
    return "rows unknown" if rows is None else f"about {rows:,} rows"


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
