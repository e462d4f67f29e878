"""Schema changes between the loads of a table, in the source or in sources.yaml."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from lakefeed.loading.plan.read_contract import ReadContract
from lakefeed.loading.raw.load_manifest import Load

Kind = Literal[
    "added", "removed", "retyped", "protected", "key", "cursor", "where", "only", "recreated"
]


@dataclass(frozen=True)
class SchemaChange:
    """A change, the load that first saw it, and the values before and after.

    `column` is empty for a change that isn't about a column.
    """

    table: str
    load_id: str
    at: dt.datetime
    kind: Kind
    column: str = ""
    before: str = ""
    after: str = ""


def schema_changes(shown: str, loads: Sequence[Load]) -> list[SchemaChange]:
    """The changes between these loads, oldest first; `shown` is the table's name."""
    contracts = [(load, load.read_as) for load in loads if load.read_as is not None]
    return [
        SchemaChange(shown, load.load_id, load.loaded_at, *difference)
        for (_, before), (load, now) in pairwise(contracts)
        for difference in _differences(before, now)
    ]


def _differences(before: ReadContract, now: ReadContract) -> Iterator[tuple[Kind, str, str, str]]:
    for name, kind in now.columns.items():
        if name not in before.columns:
            yield "added", name, "", kind
        elif before.columns[name] != kind:
            yield "retyped", name, before.columns[name], kind
    for name in (name for name in now.columns if name in before.columns):
        was, now_is = (contract.protected.get(name, "clear") for contract in (before, now))
        if was != now_is:
            yield "protected", name, was, now_is
    for name, kind in before.columns.items():
        if name not in now.columns:
            yield "removed", name, kind, ""
    if before.key != now.key:
        yield "key", "", ", ".join(before.key), ", ".join(now.key)
    if before.cursor != now.cursor:
        yield "cursor", "", before.cursor or "", now.cursor or ""
    if before.where != now.where:
        yield "where", "", before.where or "", now.where or ""
    if before.only != now.only:
        yield "only", "", str(before.only).lower(), str(now.only).lower()
    if before.identity and now.identity and before.identity != now.identity:
        yield "recreated", "", "", ""
