"""The published file and its earlier versions: replaced whole, at once, and kept.

    data/warehouse.duckdb                                          published
    data/published/20261123T202042.123456Z/warehouse.duckdb        published then, replaced since
    data/published/20261123T212040.654321Z-undone/warehouse.duckdb rolled back from
    data/warehouse.duckdb.damaged                                  replaced: it couldn't be read

A version is named after the time when it was published. DuckDB's locks belong to the file that
a process has open, not to its name: readers of a version that was replaced go on reading it.
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
from lakefeed.transformation.warehouse.candidate import Candidate, assert_current
from lakefeed.transformation.warehouse.open_file import log_of, reading
from lakefeed.transformation.warehouse.publication_state import read_publication_state

_NAME = "%Y%m%dT%H%M%S.%fZ"
_UNDONE = "-undone"


@dataclass(frozen=True)
class Version:
    """A file that is or was published, and when. `is_undone` says that it was rolled back from."""

    path: Path
    published_at: dt.datetime
    is_undone: bool = False


def published_version(project: Project) -> Version | None:
    """The file that is published; None where there is none.

    One that plain dbt made was published when it was last written.
    """
    file = project.warehouse
    if not file.exists():
        return None
    written = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC)
    return Version(file, read_publication_state(file).published_at or written)


def kept_versions(project: Project) -> list[Version]:
    """The versions that were published before, the oldest first."""
    files = _folder(project).glob(f"*Z*/{escape(project.warehouse.name)}")
    return sorted(map(_version, files), key=lambda version: version.published_at)


def replace_published(project: Project, candidate: Candidate) -> None:
    """Makes the candidate the published file, in one step, and keeps the one before.

    Whatever dies, the published file is one of the two, whole.

    Raises:
        Refused: the published file isn't the one that the candidate was copied from.
        BuildFailed: another program has it open for writing.

    Side effect: one that can't be read is set aside, and isn't kept as a version.
    """
    to_disk(candidate.path)
    try:
        present = published_version(project)
    except WarehouseDamaged:
        assert_current(project, candidate)
        set_aside(project)
        put_in_place(project, candidate.path)
    else:
        # Keeps writers out, whose log would go into the file that comes.
        with reading(project.warehouse):
            assert_current(project, candidate)
            if present:
                keep(project, present)
            put_in_place(project, candidate.path)
    forget_old_versions(project)


def put_in_place(project: Project, file: Path) -> None:
    """Publishes this file. The one that was published is gone, unless it was kept."""
    project.warehouse.parent.mkdir(parents=True, exist_ok=True)
    raise_if_interrupted()
    file.replace(project.warehouse)
    note_done("the new version of the warehouse was published before")
    to_disk(project.warehouse.parent)


def set_aside(project: Project) -> Path | None:
    """Moves a published file that can't be read, and its log, out of the way; returns where to.

    What was set aside before is gone. None where there is no file.
    """
    file, aside = project.warehouse, _damaged(project)
    if not file.exists():
        return None
    forget_damaged(project)
    # The log first: it must not come to belong to another file.
    for path, moved in ((log_of(file), log_of(aside)), (file, aside)):
        if path.exists():
            path.replace(moved)
    return aside


def file_set_aside(project: Project) -> Path | None:
    """What was set aside last and is still there."""
    aside = _damaged(project)
    return aside if aside.exists() else None


def forget_damaged(project: Project) -> None:
    """Removes what was set aside."""
    for file in (_damaged(project), log_of(_damaged(project))):
        file.unlink(missing_ok=True)


def keep(project: Project, version: Version, *, is_undone: bool = False) -> None:
    """Gives the published file a second name, by which it stays; a copy, where links fail."""
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
    """Removes all but the newest, as many as are to be kept, and what was undone before those."""
    versions = kept_versions(project)
    earlier = [version for version in versions if not version.is_undone]
    kept = earlier[max(len(earlier) - project.declaration.warehouse.keep, 0) :]
    for version in versions:
        recent = bool(kept) and version.published_at > kept[0].published_at
        if version not in kept and not (version.is_undone and recent):
            forget(version)


def forget_all_versions(project: Project) -> list[dt.datetime]:
    """Removes every version that was published before; returns when each was."""
    versions = kept_versions(project)
    for version in versions:
        forget(version)
    return [version.published_at for version in versions]


def forget(version: Version) -> None:
    """Removes a version that was kept."""
    version.path.unlink()
    with suppress(OSError):
        version.path.parent.rmdir()


def _version(file: Path) -> Version:
    name = file.parent.name
    published_at = dt.datetime.strptime(name.removesuffix(_UNDONE), _NAME)
    return Version(file, published_at.replace(tzinfo=dt.UTC), name.endswith(_UNDONE))


def _damaged(project: Project) -> Path:
    file = project.warehouse
    return file.with_name(f"{file.name}.damaged")


def _folder(project: Project) -> Path:
    return project.warehouse.parent / "published"
