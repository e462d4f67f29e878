"""Finds row versions past their retention: those that had been replaced by the cutoff.

For any time since the cutoff raw stays complete: each key keeps the latest version loaded by then,
and all later ones. So staging doesn't change, and deleted rows keep their tombstones.

A load from the log may have several versions of a row, each from its commit on. The first load
after the cutoff has changes from before it: of those that it has of a key, the last one by the
cutoff stays.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lakefeed.declaration.catalogue import Column
from lakefeed.loading.maintenance.expire import loads_by
from lakefeed.loading.maintenance.scratch_engine import ScratchEngine
from lakefeed.loading.plan.column_names import WAL_COMMITTED_AT
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.scan import LOAD_ID, ROW, Named, change_of, has_changes, rows_of
from lakefeed.source.inspection.equality import compared_key, named_key, names_of_key
from lakefeed.sql import literal

_FILE = "_lakefeed_file"
_NEWEST = "_lakefeed_newest"
_IS_LATER = "_lakefeed_is_later"


@dataclass(frozen=True)
class Replaced:
    """Rows that had been replaced by the cutoff, and their number by file.

    Attributes:
        newest: a table in the scratch engine with the latest version of each key by the cutoff.
        load_ids: the loads by the cutoff in their order, then those after it.
        by_cutoff: how many came by the cutoff.
        reads_log: whether a load may have several versions of a row.
    """

    newest: str = ""
    key: tuple[Column, ...] = ()
    load_ids: tuple[str, ...] = ()
    by_cutoff: int = 0
    reads_log: bool = False
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(self.files.values())

    def less(self, types: Mapping[str, str]) -> str:
        """A clause that excludes these rows from a file (see `rewrite`)."""
        return f"anti join {self._newest_after(types)}"

    def only(self, types: Mapping[str, str]) -> str:
        """A clause that selects only these rows."""
        return f"semi join {self._newest_after(types)}"

    @property
    def position(self) -> str:
        """An expression for the position of a row's load in `load_ids`, from 1; null for others."""
        listed = ", ".join(map(literal, self.load_ids))
        return f"list_position([{listed}], {ROW}.{LOAD_ID})"

    @property
    def is_later(self) -> str:
        """An expression for whether a row's load came after the cutoff."""
        return f"({self.position} > {self.by_cutoff})"

    def version(self, types: Mapping[str, str]) -> str:
        """An expression that orders the versions of a row."""
        if not self.reads_log:
            return self.position
        return f"{{'load': {self.position}, 'change': {change_of(types, ROW)}}}"

    def _newest_after(self, types: Mapping[str, str]) -> str:
        pairs = zip(compared_key(self.key, ROW), names_of_key(self.key), strict=True)
        same = " and ".join(f"{value} = newest.{name}" for value, name in pairs)
        return (
            f"{self.newest} as newest on {same} and {self.is_later} = newest.{_IS_LATER} "
            f"and {self.version(types)} < newest.{_NEWEST}"
        )


def find_replaced(
    log: CommitLog,
    loads: Sequence[Load],
    cutoff: dt.datetime,
    key: Sequence[Column],
    at: ScratchEngine,
) -> Replaced:
    """Finds rows that others had replaced by the cutoff. Reads keys and times of commits only.

    Finds nothing if a file lacks a column of the key, as after a change of the declared key.

    Args:
        loads: the effective loads in order.
    """
    outdated = loads_by(loads, cutoff)
    types = at.types_of(rows) if (rows := _rows_of(log, outdated, at)) else {}
    reads_log = has_changes(types)
    looked_at = loads[: len(outdated) + 1] if reads_log else outdated
    names = {name.lower() for name in types}
    if len(looked_at) < 2 or not key or any(column.name.lower() not in names for column in key):
        return Replaced()
    load_ids = tuple(load.load_id for load in looked_at)
    newest = f"newest_{uuid.uuid4().hex}"
    found = Replaced(newest, tuple(key), load_ids, by_cutoff=len(outdated), reads_log=reads_log)
    rows = _rows_of(log, looked_at, at)
    types = at.types_of(rows)
    # What a snapshot shows was there by then; what the log has, from its commit on.
    by_cutoff = f"not {found.is_later}"
    if reads_log:
        committed = f"{ROW}.{WAL_COMMITTED_AT} <= {literal(cutoff.isoformat())}::timestamptz"
        by_cutoff = f"coalesce({committed}, {by_cutoff})"
    names_of = ", ".join(names_of_key(key))
    at.engine.execute(
        f"create temp table {newest} as select {named_key(key, ROW)}, "
        f"{found.is_later} as {_IS_LATER}, max({found.version(types)}) as {_NEWEST} "
        f"from {rows} as {ROW} where {by_cutoff} group by {names_of}, {_IS_LATER}"
    )
    counts = at.engine.execute(
        f"select {_FILE}, count(*) from {rows} as {ROW} {found.only(types)} group by {_FILE}"
    ).fetchall()
    files = {str(at.fetch(log, file)): file for load in looked_at for file in load.files}
    return replace(found, files={files[path]: count for path, count in counts})


def _rows_of(log: CommitLog, loads: Sequence[Load], at: ScratchEngine) -> str:
    """The rows of these loads as a from-clause item; empty without files."""
    named = [Named(load.load_id, str(at.fetch(log, file))) for load in loads for file in load.files]
    return rows_of(named, file_as=_FILE) if named else ""
