"""The folders of the raw layer: one for each table that was ever loaded, declared or not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.loading.raw.commit_log import COMMITS_FOLDER, LOADS_FOLDER, CommitLog
from lakefeed.loading.raw.filesystem import open_raw
from lakefeed.loading.raw.inventory import Inventory


@dataclass(frozen=True)
class RawFolders:
    """Names of folders: those that Lakefeed wrote, and those that it didn't."""

    ours: tuple[str, ...]
    others: tuple[str, ...]


def raw_folders(project: Project) -> RawFolders:
    """All folders of the raw layer. One without loads that are described isn't Lakefeed's."""
    filesystem, root = open_raw(project.raw_url)
    found = filesystem.ls(root, detail=True) if filesystem.isdir(root) else []
    # What is neither may be a link to a folder.
    paths = [
        str(one["name"]).rstrip("/")
        for one in found
        if one["type"] == "directory" or (one["type"] != "file" and filesystem.isdir(one["name"]))
    ]
    ours = {path for path in paths if filesystem.isdir(f"{path}/{LOADS_FOLDER}")}
    names = [sorted(p.rsplit("/", 1)[-1] for p in group) for group in (ours, set(paths) - ours)]
    return RawFolders(tuple(names[0]), tuple(names[1]))


def remove_raw_folder(log: CommitLog) -> None:
    """Removes a table's whole raw folder; to be called by the holder of its lock.

    Commits go first, the newest before those that it goes on from: if it dies and the table is
    declared again, raw is as it was at an earlier load. So dlt's working directory, which knows of
    later ones, has to be gone before. Descriptions go last: by them a folder is known as ours.
    """
    filesystem, contents = log.filesystem, Inventory.of(log)
    commits = contents.files_of(COMMITS_FOLDER)
    for path in sorted(contents.sizes, key=lambda path: _place(path, commits)):
        filesystem.rm_file(f"{log.folder}/{path}")
    if filesystem.isdir(log.folder):
        filesystem.rm(log.folder, recursive=True)


def working_directory(project: Project, lake_name: str) -> Path:
    """Where dlt works on a table; all in it that matters is in raw too, once it is committed."""
    return project.data / ".dlt" / "pipelines" / lake_name


def working_directories(project: Project) -> set[str]:
    """Names of the tables that have a working directory of Lakefeed's."""
    return {path.parent.name for path in working_directory(project, "*").parent.glob("*/lakefeed")}


def remove_working_directory(project: Project, lake_name: str) -> None:
    """The next load makes it anew, from the newest committed state in raw."""
    folder = working_directory(project, lake_name)
    if folder.exists():
        shutil.rmtree(folder)


def _place(path: str, commits: Mapping[str, str]) -> tuple[int, float]:
    if path in commits:
        return (0, -float(commits[path]))
    return (2 if path.startswith(f"{LOADS_FOLDER}/") else 1, 0)
