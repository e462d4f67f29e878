"""Small files of raw put together: which files become one, decided from their sizes and columns.

Every load leaves a file at least, and a reader of many loads opens them all. Files with the same
columns become one, in which each row keeps its load, so that nothing is lost: staging, history,
`--as-of` and traces read the same rows (rows.py).
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

# Fewer than these are no burden, and a prune each day would write the same rows each day.
FEWEST = 8

Columns = Mapping[str, str]
Group = tuple[str, ...]


def find_groups(
    log: CommitLog, loads: Sequence[Load], contents: Inventory, at: ScratchEngine
) -> list[Group]:
    """The files that are to become one, in the order of their loads. Changes nothing."""
    small = [f for f in files_of(loads) if contents.sizes.get(f, LARGEST) < SMALL]
    if len(small) < FEWEST:
        return []
    columns = {file: at.types_of(rows_in(str(at.fetch(log, file)))) for file in small}
    return groups_of(files_of(loads), contents.sizes, columns)


def groups_of(
    files: Sequence[str], sizes: Mapping[str, int], columns: Mapping[str, Columns]
) -> list[Group]:
    """Small files with the same columns, as many as may be together; a few are no group.

    Args:
        files: in the order of their loads.
        sizes: in bytes.
        columns: types by name, of the small files.
    """
    alike: dict[frozenset[tuple[str, str]], list[str]] = {}
    for file in files:
        if file in columns:
            alike.setdefault(frozenset(columns[file].items()), []).append(file)
    runs = [run for group in alike.values() for run in _runs(group, sizes)]
    return [run for run in runs if len(run) >= FEWEST]


def files_of(loads: Sequence[Load]) -> list[str]:
    """The files that these loads name, each once, in the order of the loads."""
    return list(dict.fromkeys(file for load in loads for file in load.files))


def with_rows_of_others(log: CommitLog, loads: Sequence[Load], at: ScratchEngine) -> list[Group]:
    """Compact files that hold rows of loads that are gone, or that a prune which died left twice.

    Args:
        loads: all that are committed.
    """
    found: list[Group] = []
    for file in filter(is_compact, files_of(loads)):
        path = str(at.fetch(log, file))
        named = [Named(load.load_id, path) for load in loads if file in load.files]
        held, counted = (_count(at, rows) for rows in (rows_in(path), rows_of(named)))
        if held != counted:
            found.append((file,))
    return found


def _runs(files: Sequence[str], sizes: Mapping[str, int]) -> Iterator[Group]:
    run: list[str] = []
    for file in files:
        if sum(sizes[one] for one in run) + sizes[file] > LARGEST:
            yield tuple(run)
            run = []
        run.append(file)
    yield tuple(run)


def _count(at: ScratchEngine, rows: str) -> int:
    return int(at.engine.execute(f"select count(*) from {rows}").fetchall()[0][0])
