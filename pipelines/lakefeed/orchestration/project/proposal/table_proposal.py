"""Proposes the settings of one table, from what `init` learns of it."""

from __future__ import annotations

from dataclasses import dataclass

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.orchestration.project.proposal.cursor_inference import (
    CursorChoice,
    TableFacts,
    choose_append_cursor,
    choose_cursor,
    doubts_of,
    listed,
    reads_row_versions,
)
from lakefeed.source.inspection.types import cursor_kind


@dataclass(frozen=True)
class Proposal:
    """How a table is to be declared.

    Attributes:
        settings: as they stand in its entry.
        reasons: why they are what they are.
        comments: what else the file says above the entry.
        doubts: what the terminal says.
        query: the query whose rows are loaded; empty for a table.
        appends: it has `mode: append`.
        cursor: the column that is its cursor; empty if none is.
    """

    facts: TableFacts
    settings: tuple[str, ...]
    reasons: str
    is_incremental: bool
    comments: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    query: str = ""
    appends: bool = False
    cursor: str = ""


def propose(facts: TableFacts) -> Proposal:
    """The settings that suit a table."""
    choice, appended = choose_cursor(facts), choose_append_cursor(facts)
    choice = appended if appended.column else choice
    settings, remark = _settings(facts, choice)
    if appended.column:
        settings = ("mode: append", *settings)
    return Proposal(
        facts=facts,
        settings=(*settings, *settings_of_rows(facts)),
        reasons=f"{choice.reasons}{remark}",
        is_incremental=bool(choice.column and not appended.column) or reads_row_versions(facts),
        appends=bool(appended.column),
        cursor=choice.column.name if choice.column else "",
        doubts=tuple(doubts_of(facts)),
    )


def cursor_setting(column: Column, initial_value: str = "") -> tuple[str, str]:
    """The setting for a cursor, and what to check about it."""
    name, parts, remark = yaml_name(column.name), [], ""
    if initial_value:
        parts.append(f"initial_value: {initial_value}")
    if cursor_kind(column.type) == "timestamp":
        # PostgreSQL doesn't record the time zone of a `timestamp`: only its owner knows it.
        parts.append("timezone: UTC")
        remark = "; check the timezone"
    return f"cursor: {{column: {name}, {', '.join(parts)}}}" if parts else f"cursor: {name}", remark


def settings_of_rows(facts: TableFacts) -> tuple[str, ...]:
    """The settings that say which rows and columns can be read at all."""
    only = ("only: true",) if facts.table.heirs else ()
    columns = f"columns: {{exclude: [{listed(facts.excluded)}]}}"
    return (*only, columns) if facts.excluded else only


def _settings(facts: TableFacts, choice: CursorChoice) -> tuple[tuple[str, ...], str]:
    if choice.column is not None:
        setting, remark = cursor_setting(choice.column)
        return (setting,), remark
    if reads_row_versions(facts):
        remark = ", so changes are found by row version; `deletes: remove` also finds deletes"
        return ("cursor: xmin",), remark
    return ("mode: full_refresh",), ""
