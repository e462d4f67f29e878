"""Writes the declaration that `init` proposes for a database."""

from __future__ import annotations

from collections.abc import Iterable

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.declaration.table_names import shortest_entry, spelled
from lakefeed.orchestration.project.cursor_inference import (
    CursorChoice,
    TableFacts,
    choose_cursor,
    doubts_of_key,
    is_incremental,
    listed,
    reads_row_versions,
)
from lakefeed.orchestration.project.lake_names import names_in_lake
from lakefeed.source.inspection.types import cursor_kind


def propose_declaration(
    source: str, schema: str, variable: str, tables: Iterable[TableFacts]
) -> str:
    """The text of `sources.yaml`, with a comment that explains each table.

    Args:
        schema: the source's own schema; tables of others are declared with theirs.
    """
    tables = list(tables)
    loaded = [facts for facts in tables if not facts.why_left_out]
    names = names_in_lake(source, schema, [(f.table.schema, f.table.name) for f in loaded])
    lines = "".join(
        _left_out(schema, facts)
        if facts.why_left_out
        else _declared(schema, facts, names[facts.table.schema, facts.table.name])
        for facts in tables
    )
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
        f"{_about_deletes(loaded)}"
        "    defaults: {lookback: 30m}\n"
        "    tables:\n"
        f"{lines}"
    )


def _about_deletes(loaded: Iterable[TableFacts]) -> str:
    """The comment on deleted rows, if there are tables that keep them."""
    if not any(map(is_incremental, loaded)):
        return ""
    return (
        "    # A row deleted in the source stays in staging of a table with a cursor, unless the\n"
        "    # table has `deletes: remove`, or `mark`, which dates it. Both compare all keys in\n"
        "    # every load: `lakefeed check --connect` estimates what that scans.\n"
    )


def _left_out(schema: str, facts: TableFacts) -> str:
    entry = yaml_name(entry_of(schema, facts.table))
    return f"      # {entry}: left out, {facts.why_left_out} ({_about(facts)})\n"


def _declared(schema: str, facts: TableFacts, name: str | None) -> str:
    choice, table = choose_cursor(facts), facts.table
    doubts = "".join(f"      # {doubt}\n" for doubt in doubts_of_key(facts))
    key = f"key {listed(table.primary_key)}; " if table.primary_key else ""
    settings, remark = _settings(facts, choice, name)
    about = f"      # {_about(facts)}; {key}{choice.reasons}{remark}\n"
    return f"{about}{doubts}      {yaml_name(entry_of(schema, facts.table))}: {{{settings}}}\n"


def entry_of(schema: str, table: CatalogueTable) -> str:
    """The table's name as an entry of a source with this schema."""
    if table.schema == schema:
        return shortest_entry(schema, table.name)
    return spelled(table.schema, table.name)


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
    elif reads_row_versions(facts):
        settings = "cursor: xmin"
        remark = ", so changes are found by row version; `deletes: remove` also finds deletes"
    if facts.table.heirs:
        settings += ", only: true"
    if facts.excluded:
        settings += f", columns: {{exclude: [{listed(facts.excluded)}]}}"
    if name:
        settings += f", name: {name}"
    return settings, remark


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
