"""Whether what a command reads or writes is there and can be written to, asked before it begins."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.disk import leads_nowhere, refused, why_unwritable
from lakefeed.loading.raw.filesystem import is_local, require_filesystem


def refuse_unwritable(project: Project, *, loads: bool = True, builds: bool = True) -> None:
    """To be called before anything is loaded or built.

    Raises:
        StorageFailed: a folder that loads or builds write to takes no file, or is a link to one
            that isn't there; nothing was read or written.
        ExtraMissing: raw files lie in an object store, whose package isn't installed.
    """
    require_filesystem(project.raw_url)
    for folder in dict.fromkeys(_folders(project, loads=loads, builds=builds)):
        if error := why_unwritable(folder):
            raise error
    declared = project.root / project.declaration.warehouse.path
    # Not made by us: it may be the place of a disk that isn't mounted.
    if builds and declared.is_symlink() and not project.warehouse.parent.exists():
        raise refused(errno.ENOENT, f"{declared} -> {project.warehouse}")


def refuse_missing(project: Project) -> None:
    """To be called where nothing is loaded: what a link hides would look as if it had never been.

    Raises:
        StorageFailed: a link leads to a folder that isn't there.
        ExtraMissing: raw files lie in an object store, whose package isn't installed.
    """
    require_filesystem(project.raw_url)
    for folder in _folders(project, loads=True, builds=True):
        if error := leads_nowhere(folder):
            raise error


def _folders(project: Project, *, loads: bool, builds: bool) -> Iterator[Path]:
    """The innermost first, so that what is refused is named as closely as can be."""
    yield project.data
    if loads and is_local(project.raw_url):
        yield Path(project.raw_url)
    if builds:
        yield from (
            project.dbt / os.environ.get(variable, folder)
            for variable, folder in (("DBT_TARGET_PATH", "target"), ("DBT_LOG_PATH", "logs"))
        )
        yield project.warehouse.parent
