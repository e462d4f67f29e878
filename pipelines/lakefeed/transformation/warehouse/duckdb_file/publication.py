"""The published warehouse file and its earlier versions.

    data/warehouse.duckdb                                          published
    data/published/20261123T202042.123456Z/warehouse.duckdb        an earlier version
    data/published/20261123T212040.654321Z-undone/warehouse.duckdb a version that was rolled back
    data/warehouse.duckdb.damaged                                  an unreadable file, set aside

The published file is always replaced whole and atomically. A version is named after its time of
publication. Readers that have a replaced version open keep reading it, since DuckDB's locks belong
to the open file, not to its name.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.errors import WarehouseDamaged
from lakefeed.interruption import note_done, raise_if_interrupted
from lakefeed.textfile import to_disk
from lakefeed.transformation.warehouse.base.warehouse import Version
from lakefeed.transformation.warehouse.duckdb_file.candidate import (
    CandidateFile,
    assert_current,
    take_in_log,
)
from lakefeed.transformation.warehouse.duckdb_file.open_file import contents_of, log_of, reading

_NAME = "%Y%m%dT%H%M%S.%fZ"
_UNDONE = "-undone"


@dataclass(frozen=True)
class FileVersion(Version):
    """A version, and the file that it is."""

    path: Path = Path()


def published_version(project: Project) -> FileVersion | None:
    """The published version, if there is one.

    A file that plain dbt built counts as published when it was last written.
    """
    file = project.warehouse
    if not file.exists():
        return None
    written = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
    return FileVersion(contents_of(file).state().published_at or written, path=file)


def readable_version(project: Project) -> FileVersion | None:
    """The published version; None if there is none or it can't be read."""
    try:
        take_in_log(project.warehouse)
        return published_version(project)
    except WarehouseDamaged:
        return None


def version_before(project: Project, current: Version | None) -> FileVersion | None:
    """The newest readable version before the current one."""
    earlier = (
        version
        for version in reversed(kept_versions(project))
        if not version.is_undone and (not current or version.published_at < current.published_at)
    )
    return next(filter(_can_be_read, earlier), None)


def return_to(project: Project, version: FileVersion, current: FileVersion | None) -> Path | None:
    """Publishes an earlier version; keeps the current one as undone, or sets it aside.

    Returns:
        Where the current one was set aside, if it can't be read.
    """
    aside = None
    if current is None:
        aside = set_aside(project)
        put_in_place(project, version.path)
    else:
        with reading(project.warehouse):
            keep(project, current, is_undone=True)
            put_in_place(project, version.path)
    _forget_from(project, version)
    return aside


def _can_be_read(version: FileVersion) -> bool:
    try:
        contents_of(version.path).state()
    except WarehouseDamaged:
        return False
    return True


def _forget_from(project: Project, version: FileVersion) -> None:
    """Removes kept versions as new as this one.

    An interrupted publication may have kept the file that it was about to replace; that file has
    now been rolled back.
    """
    for kept in kept_versions(project):
        if not kept.is_undone and kept.published_at >= version.published_at:
            forget(kept)
    with suppress(OSError):
        version.path.parent.rmdir()


def kept_versions(project: Project) -> list[FileVersion]:
    """The earlier versions, oldest first."""
    files = _folder(project).glob(f"*Z*/{escape(project.warehouse.name)}")
    return sorted(map(_version, files), key=lambda version: version.published_at)


def replace_published(project: Project, candidate: CandidateFile) -> None:
    """Atomically replaces the published file with the candidate and keeps the previous version.

    If the process is killed, the published file is still either the old or the new one, complete.

    Side effect: an unreadable published file is set aside instead of being kept as a version.

    Raises:
        Refused: the published file isn't the one that the candidate was copied from.
        BuildFailed: another program has the published file open for writing.
    """
    to_disk(candidate.path)
    try:
        current = published_version(project)
    except WarehouseDamaged:
        assert_current(project, candidate)
        set_aside(project)
        put_in_place(project, candidate.path)
    else:
        # Lock out writers: their write-ahead log would be applied to the new file.
        with reading(project.warehouse):
            assert_current(project, candidate)
            if current:
                keep(project, current)
            put_in_place(project, candidate.path)
    forget_old_versions(project)


def put_in_place(project: Project, file: Path) -> None:
    """Publishes this file in place of the current one, which is lost unless it was kept."""
    project.warehouse.parent.mkdir(parents=True, exist_ok=True)
    raise_if_interrupted()
    file.replace(project.warehouse)
    note_done("the new version of the warehouse was published before")
    to_disk(project.warehouse.parent)


def set_aside(project: Project) -> Path | None:
    """Moves an unreadable published file and its log away; returns the new path.

    Replaces a file that was set aside before. Returns None if there is no published file.
    """
    file, aside = project.warehouse, _damaged(project)
    if not file.exists():
        return None
    forget_damaged(project)
    # Move the log first, so that it is never applied to another file.
    for path, moved in ((log_of(file), log_of(aside)), (file, aside)):
        if path.exists():
            path.replace(moved)
    return aside


def file_set_aside(project: Project) -> Path | None:
    """The unreadable file that was set aside, if it still exists."""
    aside = _damaged(project)
    return aside if aside.exists() else None


def forget_damaged(project: Project) -> None:
    """Removes the file that was set aside."""
    for file in (_damaged(project), log_of(_damaged(project))):
        file.unlink(missing_ok=True)


def keep(project: Project, version: FileVersion, *, is_undone: bool = False) -> None:
    """Keeps the published file as a version: by a hard link, or a copy if links fail."""
    name = version.published_at.strftime(_NAME) + (_UNDONE if is_undone else "")
    kept = _folder(project) / name / version.path.name
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.unlink(missing_ok=True)
    try:
        os.link(version.path, kept)
    except OSError:
        part = kept.with_name(f"{kept.name}.part")
        shutil.copyfile(version.path, part)
        part.replace(kept)


def forget_old_versions(project: Project) -> None:
    """Removes the earlier versions beyond `warehouse.keep`, and undone ones older than the rest."""
    versions = kept_versions(project)
    earlier = [version for version in versions if not version.is_undone]
    kept = earlier[max(len(earlier) - project.declaration.warehouse.keep, 0) :]
    for version in versions:
        recent = bool(kept) and version.published_at > kept[0].published_at
        if version not in kept and not (version.is_undone and recent):
            forget(version)


def forget_all_versions(project: Project) -> list[dt.datetime]:
    """Removes all earlier versions; returns their publication times."""
    versions = kept_versions(project)
    for version in versions:
        forget(version)
    return [version.published_at for version in versions]


def forget(version: FileVersion) -> None:
    """Removes an earlier version."""
    version.path.unlink()
    with suppress(OSError):
        version.path.parent.rmdir()


def _version(file: Path) -> FileVersion:
    name = file.parent.name
    published_at = dt.datetime.strptime(name.removesuffix(_UNDONE), _NAME)
    return FileVersion(published_at.replace(tzinfo=dt.UTC), name.endswith(_UNDONE), path=file)


def _damaged(project: Project) -> Path:
    file = project.warehouse
    return file.with_name(f"{file.name}.damaged")


def _folder(project: Project) -> Path:
    return project.warehouse.parent / "published"
