"""Removes snapshots that no version needs, and the files that only they had.

Small files, as each build leaves them, become bigger ones; the snapshots that remain show the same.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from duckdb import DuckDBPyConnection

from lakefeed.errors import Refused
from lakefeed.transformation.targets.ducklake import LAKE
from lakefeed.transformation.warehouse.base.versions import published_among
from lakefeed.transformation.warehouse.ducklake.records import newest_snapshot, versions

# How DuckLake names its files.
_OURS = "ducklake-"


def expire(session: DuckDBPyConnection, *, at_once: bool) -> None:
    """Expires all snapshots before the published one but those of versions.

    Later ones tell the next build what it must put back, of a killed build or a rolled back version
    (return_to.py).

    Side effect: removes the files that no other snapshot has.

    Args:
        at_once: remove them now, and those that killed builds left; else those that have been
            unneeded for a day, since a reader may still be at them.

    Raises:
        Refused: `at_once`, and others keep files in the lake's folder.
    """
    kept = versions(session)
    current = published_among(kept)
    # A build that starts from nothing puts nothing back.
    last = current.snapshot if current else newest_snapshot(session)
    query = "select snapshot_id from ducklake_snapshots($1) where snapshot_id < $2"
    known = {snapshot for (snapshot,) in session.execute(query, [LAKE, last]).fetchall()}
    unneeded = sorted(known - {version.snapshot for version in kept})
    if unneeded:
        session.execute(
            f"call ducklake_expire_snapshots('{LAKE}', versions => {unneeded})"
        ).fetchall()
    which = "cleanup_all => true" if at_once else "older_than => now() - interval 1 day"
    session.execute(f"call ducklake_cleanup_old_files('{LAKE}', {which})").fetchall()
    _remove_orphans(session, which, must=at_once)


def merge_small_files(session: DuckDBPyConnection) -> None:
    """Merges files that hold rows of the same table; the small ones go as `expire` says.

    Source: https://ducklake.select/docs/stable/duckdb/maintenance/merge_adjacent_files
    """
    session.execute(f"call ducklake_merge_adjacent_files('{LAKE}')").fetchall()


def _remove_orphans(session: DuckDBPyConnection, which: str, *, must: bool) -> None:
    """Removes files that no snapshot has. DuckLake takes any file in its folder for one.

    Raises:
        Refused: `must`, and others keep files there.
    """
    call = f"call ducklake_delete_orphaned_files('{LAKE}', {which}"
    found = [row[0] for row in session.execute(f"{call}, dry_run => true)").fetchall()]
    others = [path for path in found if not PurePosixPath(path).name.startswith(_OURS)]
    if others and must:
        raise Refused(
            f"the lake's folder has files that aren't the lake's, such as {others[0]}: what killed "
            "builds left can't be removed",
            do="move them away and run the same command again",
        )
    if found and not others:
        session.execute(f"{call})").fetchall()
