"""The values of a test's lake and of its source in PostgreSQL's own spelling."""

from __future__ import annotations

from collections.abc import Sequence

from lakefeed.conformance import spelling
from lakefeed.conformance.spelling import Row
from lakefeed.loading.raw.commit_log import CommitLog
from tests.conftest import Database, Lake

__all__ = ["Row"]


def staging(table: str) -> str:
    """The from-clause item of a table's staging model."""
    return f'staging."stg_{table}"'


def raw(lake: Lake, table: str) -> str:
    """The from-clause item of a table's committed raw files."""
    log = CommitLog(lake.project.raw, table)
    files = [log.path_of(file) for load in log.loads() for file in load.files]
    return f"read_parquet({files}, hive_partitioning = false)"


def lake_texts(lake: Lake, relation: str, columns: Sequence[str]) -> list[Row]:
    """These columns of all rows as PostgreSQL spells their values, sorted."""
    return spelling.lake_texts(lake.query, relation, columns)


def source_texts(database: Database, table: str, columns: Sequence[str]) -> list[Row]:
    """These columns of all the source's rows as text, sorted."""
    return spelling.source_texts(database.rows, table, columns)
