"""Finds row versions past their retention: those that had been replaced by the cutoff.

For any time since the cutoff raw stays complete: each key keeps the latest version loaded by then,
and all later ones. So staging doesn't change, and deleted rows keep their tombstones.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lakefeed.declaration.catalogue import Column
from lakefeed.loading.maintenance.scratch_engine import ScratchEngine
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.scan import LOAD_ID, ROW, Named, rows_of
from lakefeed.source.inspection.equality import compared_key, named_key, names_of_key
from lakefeed.sql import literal

_FILE = "_lakefeed_file"
_POSITION = "_lakefeed_position"


@dataclass(frozen=True)
class Replaced:
    """Rows that had been replaced by the cutoff, and their number by file.

    `newest` is a table in the scratch engine: for each key, the position in `load_ids` of the load
    with its latest version.
    """

    newest: str = ""
    key: tuple[Column, ...] = ()
    load_ids: tuple[str, ...] = ()
    files: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(self.files.values())

    def less(self, _types: Mapping[str, str]) -> str:
        """A clause that excludes these rows from a file (see `rewrite`)."""
        return f"anti join {self._newest_after()}"

    @property
    def only(self) -> str:
        """A clause that selects only these rows."""
        return f"semi join {self._newest_after()}"

    @property
    def position(self) -> str:
        """An expression for the position of a row's load in `load_ids`, from 1; null for others."""
        listed = ", ".join(map(literal, self.load_ids))
        return f"list_position([{listed}], {ROW}.{LOAD_ID})"

    def _newest_after(self) -> str:
        pairs = zip(compared_key(self.key, ROW), names_of_key(self.key), strict=True)
        same = " and ".join(f"{value} = newest.{name}" for value, name in pairs)
        return f"{self.newest} as newest on {same} and {self.position} < newest.{_POSITION}"


def find_replaced(
    log: CommitLog, loads: Sequence[Load], key: Sequence[Column], at: ScratchEngine
) -> Replaced:
    """Finds rows of these loads that later ones of these loads replaced. Reads keys only.

    Finds nothing if a file lacks a column of the key, as after a change of the declared key.

    Args:
        loads: the effective loads at the cutoff, in order.
    """
    paths = {file: str(at.fetch(log, file)) for load in loads for file in load.files}
    rows = rows_of(
        [Named(load.load_id, paths[file]) for load in loads for file in load.files], file_as=_FILE
    )
    names = {name.lower() for name in at.types_of(rows)} if paths else set()
    if len(loads) < 2 or not key or any(column.name.lower() not in names for column in key):
        return Replaced()
    load_ids = tuple(load.load_id for load in loads)
    found = Replaced(f"newest_{uuid.uuid4().hex}", tuple(key), load_ids)
    at.engine.execute(
        f"create temp table {found.newest} as "
        f"select {named_key(key, ROW)}, max({found.position}) as {_POSITION} "
        f"from {rows} as {ROW} group by {', '.join(names_of_key(key))}"
    )
    counts = at.engine.execute(
        f"select {_FILE}, count(*) from {rows} as {ROW} {found.only} group by {_FILE}"
    ).fetchall()
    files = {path: file for file, path in paths.items()}
    return replace(found, files={files[path]: count for path, count in counts})
