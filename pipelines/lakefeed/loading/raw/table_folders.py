"""The folders of the raw layer: one for each table that was ever loaded, declared or orphaned."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fsspec import AbstractFileSystem

from lakefeed.declaration.project import Project
from lakefeed.loading.object_store.file_cache import cache_folder
from lakefeed.loading.object_store.filesystem import open_raw
from lakefeed.loading.raw.commit_log import COMMITS_FOLDER, LOADS_FOLDER, CommitLog
from lakefeed.loading.raw.inventory import Inventory

# Of the warehouses that are built from this raw layer, not of a table.
BUILDS_FOLDER = "_lakefeed_builds"


@dataclass(frozen=True)
class RawFolders:
    """Folder names: `ours` were written by Lakefeed, `others` weren't."""

    ours: tuple[str, ...]
    others: tuple[str, ...]


def raw_folders(project: Project) -> RawFolders:
    """All folders of the raw layer. A folder without load manifests isn't Lakefeed's."""
    filesystem, root = open_raw(project.raw)
    entries = filesystem.ls(root, detail=True) if filesystem.isdir(root) else []
    # An entry that is neither a file nor a directory may be a link to a directory.
    paths = [
        str(entry["name"]).rstrip("/")
        for entry in entries
        if entry["type"] == "directory"
        or (entry["type"] != "file" and filesystem.isdir(entry["name"]))
    ]
    paths = [path for path in paths if not path.endswith(f"/{BUILDS_FOLDER}")]
    if not project.raw.is_local:
        # Stores have no folders, but some list those that had files, or that a console created.
        known = {f"{root}/{table.lake_name}" for table in project.tables}
        paths = [path for path in paths if path in known or _has_files(filesystem, path)]
    ours = {path for path in paths if filesystem.isdir(f"{path}/{LOADS_FOLDER}")}
    names = [sorted(p.rsplit("/", 1)[-1] for p in group) for group in (ours, set(paths) - ours)]
    return RawFolders(tuple(names[0]), tuple(names[1]))


def _has_files(filesystem: AbstractFileSystem, folder: str) -> bool:
    # A folder without files is listed as itself.
    return any(str(path).rstrip("/") != folder for path in filesystem.find(folder))


def remove_raw_folder(log: CommitLog) -> None:
    """Removes a table's whole raw folder. The caller must hold the table's lock.

    Commits go first, the newest before older ones: if the process dies and the table is declared
    again, raw is in the state of an earlier load. So dlt's working directory, which may be newer,
    must be removed before. Load manifests go last, since they mark the folder as Lakefeed's.
    """
    filesystem, contents = log.filesystem, Inventory.of(log)
    commits = contents.files_of(COMMITS_FOLDER)
    for path in sorted(contents.sizes, key=lambda path: _removal_order(path, commits)):
        _remove(log, path)
    if filesystem.isdir(log.folder):
        filesystem.rm(log.folder, recursive=True)


def _remove(log: CommitLog, path: str) -> None:
    """Removes one file of a table's raw folder, by its path within that."""
    log.filesystem.rm_file(f"{log.folder}/{path}")


def working_directory(project: Project, lake_name: str) -> Path:
    """dlt's working directory of a table. Once committed, all that matters in it is also in raw."""
    return project.data / ".dlt" / "pipelines" / lake_name


def working_directories(project: Project) -> set[str]:
    """Names of the tables for which Lakefeed created a working directory."""
    return {path.parent.name for path in working_directory(project, "*").parent.glob("*/lakefeed")}


def remove_copies(project: Project) -> None:
    """Removes the copies on this machine of files in object stores, of earlier ones as well."""
    shutil.rmtree(project.data / ".raw", ignore_errors=True)


def remove_copies_of(project: Project, lake_name: str) -> None:
    """Removes the copies on this machine of a table's files."""
    shutil.rmtree(cache_folder(project.raw, lake_name), ignore_errors=True)


def remove_working_directory(project: Project, lake_name: str) -> None:
    """Removes a working directory; the next load creates it again."""
    folder = working_directory(project, lake_name)
    if folder.exists():
        shutil.rmtree(folder)


def _removal_order(path: str, commits: Mapping[str, str]) -> tuple[int, float]:
    if path in commits:
        return (0, -float(commits[path]))
    return (2 if path.startswith(f"{LOADS_FOLDER}/") else 1, 0)
