"""Proposes the settings of one table as another tool has them, as far as the table allows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from lakefeed.declaration.catalogue import Column
from lakefeed.declaration.document.quoting import yaml_name
from lakefeed.declaration.models.columns import is_column_name
from lakefeed.orchestration.project.other_tools.carried import Carried
from lakefeed.orchestration.project.proposal.cursor_inference import (
    TableFacts,
    doubt_of_append,
    doubts_of_key,
    listed,
    misses_updates,
    on_one_line,
    tells_only_of_inserts,
)
from lakefeed.orchestration.project.proposal.table_proposal import Proposal, cursor_setting, propose
from lakefeed.source.inspection.types import cursor_kind
from lakefeed.source.predicate import single_expression

_WITH_ROW_VERSIONS = ("table", "partitioned table")


@dataclass
class _Draft:
    """The settings so far, and what couldn't be carried over."""

    facts: TableFacts
    settings: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    is_incremental: bool = False
    appends: bool = False
    cursor: str = ""
    remark: str = ""


def carry(
    facts: TableFacts, carried: Carried, tool: str
) -> tuple[Proposal | None, tuple[str, ...]]:
    """The proposal for a table, and what can't be carried over because of the table.

    There is no proposal for a table that can't be loaded without a value that is hashed there.
    """
    draft = _Draft(facts)
    key = _key(draft, carried)
    _add_mode(draft, carried, key)
    unusable = [name for name in carried.hidden if name in (*key, draft.cursor)]
    unusable += [name for name in carried.hashed if name == draft.cursor]
    if unusable:
        return None, (f"its key or cursor {listed(unusable)} is hashed or masked: not declared",)
    if key and key != facts.table.primary_key:
        draft.settings.append(f"primary_key: [{listed(key)}]")
    if facts.table.heirs:
        draft.settings.append("only: true")
    _add_columns(draft, carried, key)
    _add_conditions(draft, carried, key)
    if carried.tags:
        draft.settings.append(f"tags: [{listed(carried.tags)}]")
    if carried.is_paused:
        draft.settings.append("enabled: false")
        draft.remark += ", paused there"
    about_key = tuple(doubts_of_key(facts))
    proposal = Proposal(
        facts=facts,
        settings=tuple(draft.settings),
        reasons=f"as in {tool}{draft.remark}",
        is_incremental=draft.is_incremental,
        appends=draft.appends,
        comments=tuple(map(on_one_line, draft.left)),
        doubts=(*about_key, *draft.doubts),
    )
    return proposal, tuple(draft.left)


def _key(draft: _Draft, carried: Carried) -> tuple[str, ...]:
    """The key as declared there, if the table has its columns; else the database's."""
    table = draft.facts.table
    unknown = [name for name in carried.primary_key if not _readable(draft.facts, name)]
    if unknown:
        draft.left.append(f"primary key: the table has no readable column {listed(unknown)}")
    if unknown or not carried.primary_key:
        return table.primary_key
    is_same = set(carried.primary_key) == set(table.primary_key)
    return table.primary_key if is_same else carried.primary_key


def _add_mode(draft: _Draft, carried: Carried, key: Sequence[str]) -> None:
    facts = draft.facts
    if carried.method == "whole":
        draft.settings.append("mode: full_refresh")
        return
    if not key:
        _add_mode_without_key(draft, carried)
        return
    if carried.method == "cursor" and (column := _cursor(draft, carried)):
        _add_cursor(draft, carried, column)
        if misses_updates(column, facts.columns[column.name]):
            draft.doubts.append(
                f"its cursor {yaml_name(column.name)} is only set when a row is inserted, so later "
                "updates are missed"
            )
    elif carried.method == "row_versions" and facts.table.kind in _WITH_ROW_VERSIONS:
        draft.settings.append("cursor: xmin")
    else:
        _add_inferred(draft, carried, key)
        return
    draft.is_incremental = True


def _add_mode_without_key(draft: _Draft, carried: Carried) -> None:
    """Appends rows as the other tool does, unless they are updated."""
    is_table = draft.facts.table.kind in _WITH_ROW_VERSIONS
    column = _cursor(draft, carried) if carried.method == "cursor" and is_table else None
    if column is None or not tells_only_of_inserts(draft.facts, column):
        draft.left.append("incremental: it has no primary key, so it is read whole")
        draft.settings.append("mode: full_refresh")
        return
    draft.settings.append("mode: append")
    _add_cursor(draft, carried, column)
    draft.doubts.append(doubt_of_append(column.name))
    draft.appends = True


def _add_cursor(draft: _Draft, carried: Carried, column: Column) -> None:
    setting, draft.remark = cursor_setting(column, _initial_value(carried))
    draft.settings.append(setting)
    draft.cursor = column.name
    _add_lookback(draft, carried, column)


def _add_inferred(draft: _Draft, carried: Carried, key: Sequence[str]) -> None:
    """What suits the table, where its method can't be carried over."""
    table = replace(draft.facts.table, primary_key=tuple(key))
    inferred = propose(replace(draft.facts, table=table))
    draft.settings.append(inferred.settings[0])
    draft.is_incremental = inferred.is_incremental
    draft.cursor = inferred.cursor
    draft.doubts += [doubt for doubt in inferred.doubts if "cursor" in doubt]
    draft.remark = f", but by what suits it: {inferred.reasons}"
    if carried.method == "log":
        how = "comparing keys" if inferred.is_incremental else "reading it whole"
        draft.left.append(f"reading the database's log: deleted rows are found by {how}")
        if inferred.is_incremental:
            draft.settings.append("deletes: remove")


def _cursor(draft: _Draft, carried: Carried) -> Column | None:
    if not carried.cursor:
        draft.left.append("incremental without a cursor")
        return None
    column = draft.facts.table.column(carried.cursor)
    shown = yaml_name(carried.cursor)
    if column is None or not _readable(draft.facts, column.name):
        draft.left.append(f"cursor {shown}: the table has no readable column of this name")
        return None
    if cursor_kind(column.type) is None:
        draft.left.append(f"cursor {shown}: a column of type {column.type} can't be a cursor")
        return None
    return column


def _initial_value(carried: Carried) -> str:
    value = carried.initial_value
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return yaml_name(value.isoformat())
    if isinstance(value, int | dt.date):
        return str(value)
    return yaml_name(str(value))


def _add_lookback(draft: _Draft, carried: Carried, column: Column) -> None:
    """Above the default of the file, which is for times."""
    if carried.lookback:
        draft.settings.append(f"lookback: {carried.lookback}")
    elif cursor_kind(column.type) == "number":
        draft.settings.append("lookback: 0")


def _add_columns(draft: _Draft, carried: Carried, key: Sequence[str]) -> None:
    facts = draft.facts
    known = {column.name for column in facts.table.columns}
    needed = {*key, draft.cursor}
    unknown = [name for name in carried.include if name not in known]
    if unknown:
        draft.left.append(f"columns: the table has no {listed(unknown)}")
    if kept := [name for name in carried.exclude if name in needed]:
        draft.left.append(f"columns: {listed(kept)} is the key or the cursor, so it is loaded")
    draft.left += [
        f"{yaml_name(name)} is hashed or masked there, so it is left out: no clear values"
        for name in carried.hidden
    ]
    gone = {name for name in carried.exclude if name in known - needed}
    gone |= {*facts.excluded, *carried.hidden}
    in_order = [column.name for column in facts.table.columns]
    columns = []
    if carried.include:
        included = [n for n in in_order if n in carried.include and n not in gone]
        columns.append(f"include: [{listed(included or key)}]")
    elif gone:
        columns.append(f"exclude: [{listed([name for name in in_order if name in gone])}]")
    chosen = {*carried.include, *needed} if carried.include else {*in_order}
    columns += _each_column(draft, carried, [n for n in in_order if n in chosen - gone])
    if columns:
        draft.settings.append(f"columns: {{{', '.join(columns)}}}")


def _each_column(draft: _Draft, carried: Carried, loaded: Sequence[str]) -> Iterator[str]:
    """The settings of single columns: hashed as there, and with the names that they have there."""
    taken = {column.name.lower() for column in draft.facts.table.columns}
    for column in loaded:
        settings = ["hash: sha256"] if column in carried.hashed else []
        name = carried.renamed.get(column)
        if name is not None and (name.lower() in taken or not is_column_name(name)):
            draft.left.append(f"{yaml_name(column)} isn't renamed to {yaml_name(name)}")
        elif name is not None:
            taken.add(name.lower())
            settings.append(f"name: {yaml_name(name)}")
        if settings:
            yield f"{yaml_name(column)}: {{{', '.join(settings)}}}"


def _add_conditions(draft: _Draft, carried: Carried, key: Sequence[str]) -> None:
    if carried.where:
        if reason := _why_no_condition(carried.where):
            draft.left.append(f"where: {reason}")
        else:
            draft.settings.append(f"where: {yaml_name(carried.where)}")
    is_declared = any(setting.startswith("deletes:") for setting in draft.settings)
    if carried.deletes and key and draft.is_incremental and not is_declared:
        draft.settings.append(f"deletes: {carried.deletes}")
    if carried.on_null_cursor and draft.cursor:
        draft.settings.append(f"on_null_cursor: {carried.on_null_cursor}")


def _why_no_condition(where: str) -> str:
    if "{" in where or "$" in where:
        return "a condition with variables"
    return single_expression(where) or ""


def _readable(facts: TableFacts, name: str) -> bool:
    return facts.table.column(name) is not None and name not in facts.excluded
