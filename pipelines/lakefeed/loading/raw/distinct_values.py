"""Reads the distinct values of a column with few of them from raw; they are stored nowhere else."""

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
    """The distinct values of a column in these loads: up to `at_most`, or one more if exceeded."""
    return _values(engine, log, loads, column, f"is not null limit {at_most + 1}")


def seen_in(
    engine: DuckDBPyConnection,
    log: CommitLog,
    loads: Sequence[Load],
    column: str,
    values: Collection[str],
) -> set[str]:
    """Those of the given values that occur in these loads."""
    listed = ", ".join(map(literal, values))
    return _values(engine, log, loads, column, f"in ({listed})") if values else set()


def _values(
    engine: DuckDBPyConnection, log: CommitLog, loads: Sequence[Load], column: str, condition: str
) -> set[str]:
    latest = LatestRows.of(log, list(loads))
    if not latest or column not in _columns(engine, latest):
        return set()
    rows = engine.execute(
        f"select distinct {quote(column)}::varchar from {latest.relation} "
        f"where {quote(column)} {condition}"
    ).fetchall()
    return {row[0] for row in rows}


def _columns(engine: DuckDBPyConnection, latest: LatestRows) -> set[str]:
    return {row[0] for row in engine.execute(f"describe from {latest.relation}").fetchall()}
