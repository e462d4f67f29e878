"""What a lake records of its own publication, in tables that no build touches.

_lakefeed_publication.versions     the snapshot of each version that is or was published
_lakefeed_publication.candidate    the build that works on the newest snapshot, if one does
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from duckdb import DuckDBPyConnection

from lakefeed.transformation.warehouse.base.versions import RecordedVersion, published_among

SCHEMA = "_lakefeed_publication"

_TABLES = f"""
create schema if not exists {SCHEMA};
create table if not exists {SCHEMA}.versions (
    snapshot bigint, published_at timestamptz, is_undone boolean, is_current boolean
);
create table if not exists {SCHEMA}.candidate (
    build varchar, started_from bigint, is_whole boolean
);
"""


@dataclass(frozen=True)
class LakeVersion(RecordedVersion):
    """A version, and the snapshot that it is."""

    snapshot: int = -1


@dataclass(frozen=True)
class Mark:
    """The build that works on the lake, and the published snapshot that it started from."""

    build: str
    started_from: int | None
    is_whole: bool = False


def create_records(session: DuckDBPyConnection) -> None:
    """Creates the tables; to be called under the lock."""
    if not _has_records(session):
        session.execute(_TABLES)


def versions(session: DuckDBPyConnection) -> list[LakeVersion]:
    """All versions, oldest first."""
    if not _has_records(session):
        return []
    rows = session.execute(
        "select snapshot, epoch_us(published_at), is_undone, is_current "
        f"from {SCHEMA}.versions order by published_at"
    ).fetchall()
    return [
        LakeVersion(_time(at), is_undone, snapshot=snapshot, is_current=is_current)
        for snapshot, at, is_undone, is_current in rows
    ]


def current_version(session: DuckDBPyConnection) -> LakeVersion | None:
    """The published version, if there is one."""
    return published_among(versions(session))


def record_versions(session: DuckDBPyConnection, kept: Sequence[LakeVersion]) -> None:
    """Replaces the versions by these."""
    session.execute(f"delete from {SCHEMA}.versions")
    for version in kept:
        session.execute(
            f"insert into {SCHEMA}.versions values (?, ?, ?, ?)",
            [version.snapshot, version.published_at, version.is_undone, version.is_current],
        )


def read_mark(session: DuckDBPyConnection) -> Mark | None:
    """The build that works on the lake, if one does."""
    if not _has_records(session):
        return None
    row = session.execute(
        f"select build, started_from, is_whole from {SCHEMA}.candidate"
    ).fetchone()
    return Mark(*row) if row else None


def write_mark(session: DuckDBPyConnection, mark: Mark | None) -> None:
    """Replaces the mark, or removes it.

    Two transactions that do this can't both commit: a build that lost its lock can't publish once
    another has begun.
    """
    session.execute(f"delete from {SCHEMA}.candidate")
    if mark:
        values = [mark.build, mark.started_from, mark.is_whole]
        session.execute(f"insert into {SCHEMA}.candidate values (?, ?, ?)", values)


def newest_snapshot(session: DuckDBPyConnection) -> int:
    """The newest snapshot that this session, or its transaction, sees."""
    (row,) = session.execute("from lake.current_snapshot()").fetchall()
    return int(row[0])


def _has_records(session: DuckDBPyConnection) -> bool:
    query = (
        "select count(*) from duckdb_tables() where database_name = current_database() "
        f"and schema_name = '{SCHEMA}' and table_name in ('versions', 'candidate')"
    )
    return session.execute(query).fetchall() == [(2,)]


def _time(microseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=microseconds)
