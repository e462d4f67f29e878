"""Rewrites groups of data files, each as one file with all or some of their rows.

A committed file is never modified: the new file has a new name and is compared with the originals
before any load names it. Then the load manifests are switched to it one at a time, each atomically.
Rows that are in both files meanwhile count once (loading/raw/scan.py). The originals are removed
last.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lakefeed.errors import LakefeedError
from lakefeed.loading.maintenance.expire import remove_file
from lakefeed.loading.maintenance.scratch_engine import ScratchEngine
from lakefeed.loading.plan.column_names import DELETED_AT
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.nearest_files import drop_copy_of
from lakefeed.loading.raw.scan import LOAD_ID, ROW, Named, is_compact, new_name, rows_in, rows_of
from lakefeed.textfile import to_disk

# Makes a clause that follows `from <rows> as _lakefeed_row` and excludes rows, from column types.
Less = Callable[[Mapping[str, str]], str]


@dataclass(frozen=True)
class Rewriting:
    """Groups of files, each to become one file, and the loads that name any of them.

    All are in the effective order of the loads. The files of a group have the same columns.
    """

    loads: tuple[Load, ...]
    groups: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, loads: Iterable[Load], *groups: tuple[str, ...]) -> Rewriting:
        """Selects from the loads, given in their order, those that name files of these groups."""
        files = {file for group in groups for file in group}
        return cls(tuple(load for load in loads if not files.isdisjoint(load.files)), groups)

    def named(self, group: tuple[str, ...], paths: Mapping[str, Path]) -> list[Named]:
        """The files of a group with the loads that name them."""
        pairs = ((load, file) for load in self.loads for file in load.files if file in group)
        return [Named(load.load_id, str(paths[file])) for load, file in pairs]


@dataclass(frozen=True)
class Tally:
    """The number of rows of one load, of tombstones among them, and the sum of all row hashes."""

    rows: int = 0
    tombstones: int = 0
    hashes: int = 0


@dataclass(frozen=True)
class Written:
    """A new file, its local path until it is put into raw, and its rows by load."""

    file: str
    path: Path
    before: Mapping[str, Tally]
    after: Mapping[str, Tally]

    def removed(self, load_id: str) -> Tally:
        """The rows of a load that the originals had and this file doesn't."""
        before, after = self.before.get(load_id, Tally()), self.after.get(load_id, Tally())
        return Tally(before.rows - after.rows, before.tombstones - after.tombstones)


def rewrite(
    log: CommitLog, rewriting: Rewriting, at: ScratchEngine, less: Less | None = None
) -> tuple[Load, ...]:
    """Replaces each group with a new file. The caller must hold the table's lock.

    Returns the loads with their new manifests.

    Args:
        less: excludes rows; without it, all rows are kept.

    Raises:
        LakefeedError: a new file doesn't have the same rows as its originals; raw is unchanged.
    """
    written = {group: _write(log, rewriting, group, at, less) for group in rewriting.groups}
    for new in written.values():
        put(log, new.path, new.file)
        new.path.unlink()
    updated = tuple(_updated(load, written) for load in rewriting.loads)
    for load in updated:
        log.redescribe(load)
    for file in (file for group in rewriting.groups for file in group):
        remove_file(log, file)
    return updated


def tally(at: ScratchEngine, rows: str, clause: str = "") -> dict[str, Tally]:
    """Counts these rows by load."""
    is_tombstone = f"{DELETED_AT} is not null" if DELETED_AT in at.types_of(rows) else "false"
    found = at.engine.execute(
        f"select {LOAD_ID}, count(*), count(*) filter ({is_tombstone}), "
        f"sum(hash({ROW})::hugeint) from (from {rows} as {ROW} {clause}) as {ROW} group by all"
    ).fetchall()
    return {load_id: Tally(*counts) for load_id, *counts in found}


def put(log: CommitLog, path: Path, file: str) -> None:
    """Copies a file into raw under this name, atomically."""
    target = f"{log.folder}/{file}"
    if not log.raw.is_local:
        log.filesystem.put_file(str(path), target)
        drop_copy_of(log, file)
        return
    log.filesystem.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
    log.filesystem.put_file(str(path), f"{target}.part")
    to_disk(Path(f"{target}.part"))
    log.filesystem.mv(f"{target}.part", target)


def _write(
    log: CommitLog,
    rewriting: Rewriting,
    group: tuple[str, ...],
    at: ScratchEngine,
    less: Less | None,
) -> Written:
    rows = rows_of(rewriting.named(group, {file: at.fetch(log, file) for file in group}))
    types = at.types_of(rows)
    clause = less(types) if less else ""
    file = _new_name(rewriting, group)
    path = at.folder / Path(file).name
    at.write(f"{rows} as {ROW} {clause}", path)
    new = Written(file, path, tally(at, rows), tally(at, rows, clause))
    new_rows = rows_in(str(path))
    if at.types_of(new_rows) != types or tally(at, new_rows) != new.after:
        raise LakefeedError(
            f"the file rewritten from {', '.join(group[:3])} doesn't have the same rows; raw is "
            "unchanged",
            where=log.path_of(""),
            do="report this as a bug, with the output of `lakefeed --version`",
        )
    return new


def _new_name(rewriting: Rewriting, group: tuple[str, ...]) -> str:
    """An unused name, derived from the latest file of the group."""
    naming = [load for load in rewriting.loads if not set(group).isdisjoint(load.files)]
    compact = len(naming) > 1 or is_compact(group[-1])
    return new_name(group[-1], uuid.uuid4().hex[:10], compact=compact)


def _updated(load: Load, written: Mapping[tuple[str, ...], Written]) -> Load:
    """The load with its new files, and without the removed rows."""
    new_files = {file: new.file for group, new in written.items() for file in group}
    removed = [new.removed(load.load_id) for new in written.values()]
    tombstones = sum(counts.tombstones for counts in removed)
    return replace(
        load,
        files=tuple(dict.fromkeys(new_files.get(file, file) for file in load.files)),
        rows=load.rows - sum(counts.rows for counts in removed) + tombstones,
        # Those that a full refresh repeats aren't counted.
        deleted=max(load.deleted - tombstones, 0),
    )
