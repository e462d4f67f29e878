"""Writes the declaration that `init` proposes for a database."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from lakefeed.declaration.catalogue import CatalogueTable
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.declaration.table_names import shortest_entry, spelled
from lakefeed.orchestration.project.proposal.cursor_inference import (
    TableFacts,
    doubts_of_key,
    listed,
    on_one_line,
)
from lakefeed.orchestration.project.proposal.lake_names import names_in_lake
from lakefeed.orchestration.project.proposal.table_proposal import Proposal

_DELETES = """\
    # A row deleted in the source stays in staging of a table with a cursor, unless the
    # table has `deletes: remove`, or `mark`, which dates it. Both compare all keys in every
    # load: `lakefeed check --connect` estimates what that scans. `cursor: wal` finds deletes
    # in the database's log instead: `lakefeed cdc setup` says what that needs.
"""


def declaration_text(
    source: str,
    schema: str,
    variable: str,
    proposals: Sequence[Proposal | TableFacts],
    *,
    places: str = "",
) -> str:
    """The text of `sources.yaml`, with a comment that explains each table.

    Args:
        schema: the source's own schema; tables of others are declared with theirs.
        proposals: each table, or only its facts if it can't be loaded.
        places: the lines that say where raw and the warehouse are, if not in the project's folder.
    """
    loaded = [one for one in proposals if isinstance(one, Proposal)]
    tables = [(one.facts.table.schema, one.facts.table.name) for one in loaded]
    names = names_in_lake(source, schema, tables)
    lines = "".join(
        _declared(schema, one, names[one.facts.table.schema, one.facts.table.name])
        if isinstance(one, Proposal)
        else _left_out(schema, one)
        for one in proposals
    )
    return (
        "# The tables that Lakefeed loads, written by `lakefeed init`.\n"
        f"# All settings: `lakefeed schema`. One table's settings: `lakefeed explain {source}."
        "TABLE`.\n"
        "version: 1\n\n"
        f"{places}"
        "sources:\n"
        f"  {source}:\n"
        f"    connection: ${{{variable}}}\n"
        f"    schema: {yaml_name(schema)}\n"
        f"{_DELETES if any(one.is_incremental for one in loaded) else ''}"
        "    # The safe horizon doesn't cover timestamps set by applications: look back a little.\n"
        "    defaults: {lookback: 30m}\n"
        "    tables:\n"
        f"{lines}"
    )


def left_text(file: str, left: Iterable[tuple[str, str]]) -> str:
    """The comment at the end of `sources.yaml` on what isn't carried over from another file."""
    lines = [f"#   {on_one_line(about)}: {on_one_line(what)}\n" for about, what in left]
    return "".join([f"\n# Not carried over from {on_one_line(file)}:\n", *lines]) if lines else ""


def entry_of(schema: str, table: CatalogueTable) -> str:
    """The table's name as an entry of a source with this schema."""
    if table.schema == schema:
        return shortest_entry(schema, table.name)
    return spelled(table.schema, table.name)


def _left_out(schema: str, facts: TableFacts) -> str:
    entry = yaml_name(entry_of(schema, facts.table))
    return f"      # {entry}: left out, {facts.why_left_out} ({_about(facts)})\n"


def _declared(schema: str, proposal: Proposal, name: str | None) -> str:
    facts = proposal.facts
    comments = [*doubts_of_key(facts), *proposal.comments]
    key = f"key {listed(facts.table.primary_key)}; " if facts.table.primary_key else ""
    what = "a query" if proposal.query else _about(facts)
    about = f"      # {what}; {key}{proposal.reasons}\n"
    settings = [*proposal.settings, *([f"name: {name}"] if name else [])]
    entry = yaml_name(entry_of(schema, facts.table))
    remarks = "".join(f"      # {comment}\n" for comment in comments)
    if proposal.query:
        lines = "".join(f"        {line}\n" for line in [_query(proposal.query), *settings])
        return f"{about}{remarks}      {entry}:\n{lines}"
    return f"{about}{remarks}      {entry}: {{{', '.join(settings)}}}\n"


def _query(text: str) -> str:
    """The setting, in its own lines where YAML keeps them as they are."""
    lines = textwrap.dedent(text).strip().split("\n")
    if not all(line.isprintable() for line in lines):
        return f"query: {yaml_name(text)}"
    return "\n".join(["query: |", *(f"          {line}".rstrip() for line in lines)])


def _about(facts: TableFacts) -> str:
    rows = "rows unknown" if facts.rows is None else f"about {facts.rows:,} rows"
    return rows if facts.size is None else f"{rows}, {_readable(facts.size)}"


def _readable(size: int) -> str:
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TB"
