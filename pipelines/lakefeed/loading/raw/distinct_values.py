"""The values of a column of few: read from raw when they are asked for, and kept nowhere else."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from duckdb import DuckDBPyConnection

from lakefeed.loading.raw.commit_log import CommitLog
from lakefeed.loading.raw.latest_rows import LatestRows
from lakefeed.loading.raw.load_manifest import Load
from lakefeed.sql import literal, quote


def values_in(
    engine: DuckDBPyConnection, log: CommitLog, loads: Sequence[Load], column: str, at_most: int
) -> set[str]:
    """The values of a column among the rows of these loads; not all, where there are too many."""
    return _values(engine, log, loads, column, f"is not null limit {at_most + 1}")


def seen_in(
    engine: DuckDBPyConnection,
    log: CommitLog,
    loads: Sequence[Load],
    column: str,
    values: Collection[str],
) -> set[str]:
    """Which of the values these loads have."""
    listed = ", ".join(map(literal, values))
    return _values(engine, log, loads, column, f"in ({listed})") if values else set()


def _values(
    engine: DuckDBPyConnection, log: CommitLog, loads: Sequence[Load], column: str, which: str
) -> set[str]:
    held = LatestRows.of(log, list(loads))
    if not held or column not in _columns(engine, held):
        return set()
    rows = engine.execute(
        f"select distinct {quote(column)}::varchar from {held.relation} "
        f"where {quote(column)} {which}"
    ).fetchall()
    return {row[0] for row in rows}


def _columns(engine: DuckDBPyConnection, held: LatestRows) -> set[str]:
    return {row[0] for row in engine.execute(f"describe from {held.relation}").fetchall()}
