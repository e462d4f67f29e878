"""Files of rows made into one, with all of their rows or a part, and put in the place of the old.

A committed file is never changed: the new one has a name of its own, is written whole, and is
compared with the old before any load names it. Then the descriptions of its loads name it, one
after the other, each in one step. Rows that are meanwhile in the old file and in the new count
once (rows.py). The old ones go last.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from lakefeed.errors import LakefeedError
from lakefeed.loading.maintenance.expire import remove_file
from lakefeed.loading.maintenance.scratch_engine import ScratchEngine
from lakefeed.loading.plan.table_plan import DELETED_AT
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.scan import LOAD_ID, ROW, Named, is_compact, new_name, rows_in, rows_of
from lakefeed.textfile import to_disk

# A clause behind `from <rows> as _lakefeed_row` that leaves some out, by the types of columns.
Less = Callable[[Mapping[str, str]], str]


@dataclass(frozen=True)
class Rewriting:
    """Groups of files, each of which becomes one file, and the loads that name any of them.

    All in the order in which the loads count. The columns of a group's files are alike.
    """

    loads: tuple[Load, ...]
    groups: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, loads: Iterable[Load], *groups: tuple[str, ...]) -> Rewriting:
        """These groups with those of the loads, which come in their order, that name them."""
        files = {file for group in groups for file in group}
        return cls(tuple(load for load in loads if not files.isdisjoint(load.files)), groups)

    def named(self, group: tuple[str, ...], paths: Mapping[str, Path]) -> list[Named]:
        """Which loads name which files of a group."""
        pairs = ((load, file) for load in self.loads for file in load.files if file in group)
        return [Named(load.load_id, str(paths[file])) for load, file in pairs]


@dataclass(frozen=True)
class Tally:
    """Rows of one load, how many of them are tombstones, and the sum of the hashes of all."""

    rows: int = 0
    tombstones: int = 0
    hashes: int = 0


@dataclass(frozen=True)
class Written:
    """A new file, where it lies until it is put into raw; its rows by load, before and after."""

    file: str
    path: Path
    before: Mapping[str, Tally]
    after: Mapping[str, Tally]

    def gone(self, load_id: str) -> Tally:
        """What the file has less of a load than those that it is made of."""
        was, left = (told.get(load_id, Tally()) for told in (self.before, self.after))
        return Tally(was.rows - left.rows, was.tombstones - left.tombstones)


def rewrite(
    log: CommitLog, rewriting: Rewriting, at: ScratchEngine, less: Less | None = None
) -> tuple[Load, ...]:
    """Puts new files in the place of others; to be called by the holder of the table's lock.

    Returns the loads as they are described now.

    Args:
        less: leaves rows out; none where it isn't given.

    Raises:
        LakefeedError: what was written isn't what was read; raw is as it was.
    """
    written = {group: _write(log, rewriting, group, at, less) for group in rewriting.groups}
    for one in written.values():
        put(log, one.path, one.file)
        one.path.unlink()
    described = tuple(_described(load, written) for load in rewriting.loads)
    for load in described:
        log.redescribe(load)
    for file in (file for group in rewriting.groups for file in group):
        remove_file(log, file)
    return described


def tally(at: ScratchEngine, rows: str, clause: str = "") -> dict[str, Tally]:
    """What each load has among these rows."""
    gone = f"{DELETED_AT} is not null" if DELETED_AT in at.types_of(rows) else "false"
    found = at.engine.execute(
        f"select {LOAD_ID}, count(*), count(*) filter ({gone}), sum(hash({ROW})::hugeint) "
        f"from (from {rows} as {ROW} {clause}) as {ROW} group by all"
    ).fetchall()
    return {load_id: Tally(*counts) for load_id, *counts in found}


def put(log: CommitLog, path: Path, file: str) -> None:
    """Puts a whole file into raw under this name; there is never half of it."""
    target = f"{log.folder}/{file}"
    log.filesystem.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
    log.filesystem.put_file(str(path), f"{target}.part")
    if isinstance(log.filesystem, LocalFileSystem):
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
    one = Written(file, path, tally(at, rows), tally(at, rows, clause))
    new = rows_in(str(path))
    if at.types_of(new) != types or tally(at, new) != one.after:
        raise LakefeedError(
            f"what was made of {', '.join(group[:3])} reads otherwise than these files; "
            "raw is as it was",
            where=log.path_of(""),
            do="report this, with what `lakefeed --version` prints",
        )
    return one


def _new_name(rewriting: Rewriting, group: tuple[str, ...]) -> str:
    """A name that isn't used yet, in the place of the newest of the files."""
    naming = [load for load in rewriting.loads if not set(group).isdisjoint(load.files)]
    compact = len(naming) > 1 or is_compact(group[-1])
    return new_name(group[-1], uuid.uuid4().hex[:10], compact=compact)


def _described(load: Load, written: Mapping[tuple[str, ...], Written]) -> Load:
    """The load with the new files in the place of the old, and without the rows that are gone."""
    new_of = {file: one.file for group, one in written.items() for file in group}
    gone = [one.gone(load.load_id) for one in written.values()]
    tombstones = sum(one.tombstones for one in gone)
    return replace(
        load,
        files=tuple(dict.fromkeys(new_of.get(file, file) for file in load.files)),
        rows=load.rows - sum(one.rows for one in gone) + tombstones,
        deleted=load.deleted - tombstones,
    )
