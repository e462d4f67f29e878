"""Checks, before a command starts, that the folders it needs exist and are writable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.disk import leads_nowhere, why_unwritable
from lakefeed.loading.object_store.filesystem import require_filesystem
from lakefeed.loading.object_store.store_check import id_in_store
from lakefeed.transformation.warehouse.declared import warehouse_of


def refuse_unwritable(project: Project, *, loads: bool = True, builds: bool = True) -> None:
    """Checks the folders that loads and builds write to, before either starts.

    Raises:
        StorageFailed: a folder is not writable, or is a link to a missing one, or the object store
            refuses; nothing was read or written.
        ExtraMissing: raw is in an object store whose package isn't installed.
        Refused: raw is in an object store without conditional writes.
    """
    require_filesystem(project.raw)
    for folder in dict.fromkeys(_folders(project, loads=loads, builds=builds)):
        if error := why_unwritable(folder):
            raise error
    if loads and not project.raw.is_local:
        id_in_store(project.raw)
    if builds:
        warehouse_of(project).refuse_lost()


def refuse_missing(project: Project) -> None:
    """Checks for broken links before a command that only reads, so that no data seems missing.

    Raises:
        StorageFailed: a link points to a missing folder.
        ExtraMissing: raw is in an object store whose package isn't installed.
    """
    require_filesystem(project.raw)
    for folder in _folders(project, loads=True, builds=True):
        if error := leads_nowhere(folder):
            raise error


def _folders(project: Project, *, loads: bool, builds: bool) -> Iterator[Path]:
    """The innermost folders first, so that an error names the exact folder."""
    yield project.data
    if loads and project.raw.is_local:
        yield Path(project.raw.url)
    if builds:
        yield from (
            project.dbt / os.environ.get(variable, folder)
            for variable, folder in (("DBT_TARGET_PATH", "target"), ("DBT_LOG_PATH", "logs"))
        )
        yield from warehouse_of(project).folders()
