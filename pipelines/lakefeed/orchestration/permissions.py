"""Checks, before a command starts, that the folders it needs exist and are writable."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.disk import leads_nowhere, refused, why_unwritable
from lakefeed.loading.raw.filesystem import is_local, require_filesystem


def refuse_unwritable(project: Project, *, loads: bool = True, builds: bool = True) -> None:
    """Checks the folders that loads and builds write to, before either starts.

    Raises:
        StorageFailed: a folder is not writable, or is a link to a missing one; nothing was read or
            written.
        ExtraMissing: raw is in an object store whose package isn't installed.
    """
    require_filesystem(project.raw_url)
    for folder in dict.fromkeys(_folders(project, loads=loads, builds=builds)):
        if error := why_unwritable(folder):
            raise error
    declared = project.root / project.declaration.warehouse.path
    # Never create the link's target: it may be the mount point of a disk that isn't mounted.
    if builds and declared.is_symlink() and not project.warehouse.parent.exists():
        raise refused(errno.ENOENT, f"{declared} -> {project.warehouse}")


def refuse_missing(project: Project) -> None:
    """Checks for broken links before a command that only reads, so that no data seems missing.

    Raises:
        StorageFailed: a link points to a missing folder.
        ExtraMissing: raw is in an object store whose package isn't installed.
    """
    require_filesystem(project.raw_url)
    for folder in _folders(project, loads=True, builds=True):
        if error := leads_nowhere(folder):
            raise error


def _folders(project: Project, *, loads: bool, builds: bool) -> Iterator[Path]:
    """The innermost folders first, so that an error names the exact folder."""
    yield project.data
    if loads and is_local(project.raw_url):
        yield Path(project.raw_url)
    if builds:
        yield from (
            project.dbt / os.environ.get(variable, folder)
            for variable, folder in (("DBT_TARGET_PATH", "target"), ("DBT_LOG_PATH", "logs"))
        )
        yield project.warehouse.parent
