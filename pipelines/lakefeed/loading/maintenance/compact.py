"""Chooses the small files of raw to compact, by size and columns.

Every load adds at least one file, and reading many loads means opening all of them. Files with the
same columns are compacted into one in which each row keeps its load id, so staging, history,
`--as-of` and traces read the same rows as before (loading/raw/scan.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lakefeed.loading.maintenance.scratch_engine import ScratchEngine
from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.inventory import Inventory
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.loading.raw.scan import Named, is_compact, rows_in, rows_of

MB = 1_000_000
SMALL = 16 * MB
LARGEST = 128 * MB

# Fewer files aren't worth it: a daily prune would rewrite the same rows every day.
FEWEST = 8

Columns = Mapping[str, str]
Group = tuple[str, ...]


def find_groups(
    log: CommitLog, loads: Sequence[Load], contents: Inventory, at: ScratchEngine
) -> list[Group]:
    """The groups of files to compact, each in the order of their loads. Changes nothing."""
    small = [f for f in files_of(loads) if contents.sizes.get(f, LARGEST) < SMALL]
    if len(small) < FEWEST:
        return []
    columns = {file: at.types_of(rows_in(str(at.fetch(log, file)))) for file in small}
    return groups_of(files_of(loads), contents.sizes, columns)


def groups_of(
    files: Sequence[str], sizes: Mapping[str, int], columns: Mapping[str, Columns]
) -> list[Group]:
    """Groups small files with the same columns, up to the largest size; drops groups of a few.

    Args:
        files: all files, in the order of their loads.
        sizes: in bytes.
        columns: the types of columns by name, for small files only.
    """
    by_columns: dict[frozenset[tuple[str, str]], list[str]] = {}
    for file in files:
        if file in columns:
            by_columns.setdefault(frozenset(columns[file].items()), []).append(file)
    runs = [run for group in by_columns.values() for run in _runs(group, sizes)]
    return [run for run in runs if len(run) >= FEWEST]


def files_of(loads: Sequence[Load]) -> list[str]:
    """The files that these loads name, without duplicates, in the order of the loads."""
    return list(dict.fromkeys(file for load in loads for file in load.files))


def with_stale_rows(log: CommitLog, loads: Sequence[Load], at: ScratchEngine) -> list[Group]:
    """Compacted files with rows of removed loads, or rows duplicated by an interrupted prune.

    Args:
        loads: all committed loads.
    """
    found: list[Group] = []
    for file in filter(is_compact, files_of(loads)):
        path = str(at.fetch(log, file))
        named = [Named(load.load_id, path) for load in loads if file in load.files]
        in_file, effective = (_count(at, rows) for rows in (rows_in(path), rows_of(named)))
        if in_file != effective:
            found.append((file,))
    return found


def _runs(files: Sequence[str], sizes: Mapping[str, int]) -> Iterator[Group]:
    run: list[str] = []
    for file in files:
        if sum(sizes[earlier] for earlier in run) + sizes[file] > LARGEST:
            yield tuple(run)
            run = []
        run.append(file)
    yield tuple(run)


def _count(at: ScratchEngine, rows: str) -> int:
    return int(at.engine.execute(f"select count(*) from {rows}").fetchall()[0][0])
