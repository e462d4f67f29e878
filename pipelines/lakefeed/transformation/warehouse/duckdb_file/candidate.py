"""The candidate: a copy of the warehouse in which dbt builds and tests before publication.

    data/warehouse.duckdb                  the published file, which people query
    data/candidate/warehouse.duckdb        the copy in which dbt works
    data/candidate/warehouse.duckdb.json   its build, and the file that it was copied from

The candidate has the same file name as the published file, since DuckDB names a database after its
file and dbt writes that name into the SQL of views. If a build is killed, the published file is
unchanged, and the next build discards the candidate.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.documents import Format
from lakefeed.errors import Overtaken, Refused, WarehouseDamaged
from lakefeed.textfile import replace_text
from lakefeed.transformation.warehouse.duckdb_file.open_file import log_of, reading, writing

# A file's inode, size and modification time.
Identity = tuple[int, int, int]


@dataclass(frozen=True)
class CandidateFile:
    """A candidate: its file, its build, and the published file that it was copied from.

    `is_whole` is false while only the staging layer is built.
    """

    path: Path
    build: str
    copied_from: Identity | None
    is_whole: bool = False


@dataclass(frozen=True)
class _Mark:
    """The content of the file beside a candidate."""

    build: str
    copied_from: Identity | None
    is_whole: bool


MARK = Format(_Mark, "candidate mark")


def start_candidate(project: Project, build: str, *, empty: bool = False) -> CandidateFile:
    """Starts a candidate for this build as a copy of the published file, if there is one.

    Args:
        empty: start without a copy, to build from scratch.

    Side effects: discards the candidate of an earlier build; merges a write-ahead log that a killed
    writer left behind into the published file.

    Raises:
        BuildFailed: another program has the published file open for writing.
    """
    discard_candidate(project)
    path = _path(project)
    copied_from = _identity_of_published(project) if empty else copy_published(project, path)
    candidate = CandidateFile(path, build, copied_from)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_note(candidate)
    return candidate


def copy_published(project: Project, path: Path) -> Identity | None:
    """Copies the published file while locking out writers; returns None if there is none.

    Side effects: creates the folder; merges a write-ahead log that a killed writer left behind into
    the published file.

    Raises:
        BuildFailed: another program has the published file open for writing.
        WarehouseDamaged: the published file is damaged.
    """
    published = project.warehouse
    take_in_log(published)
    with reading(published) as session:
        if session is None:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(published, path)
        return _identity(published)


def _identity_of_published(project: Project) -> Identity | None:
    """The identity of the published file, even if it is damaged.

    Raises:
        BuildFailed: another program has the published file open for writing.
    """
    published = project.warehouse
    with suppress(WarehouseDamaged):
        take_in_log(published)
        with reading(published):
            pass
    return _identity(published) if published.exists() else None


def open_candidate(project: Project, build: str) -> CandidateFile:
    """Opens the candidate that an earlier step of this build left.

    Raises:
        Overtaken: another build has started since.
        Refused: another program has changed the published file.
        NewerFormat: a newer version of Lakefeed built it.
    """
    note = _note(_path(project))
    found = MARK.read(note.read_text(encoding="utf-8"), str(note)) if note.exists() else None
    if found is None or found.build != build:
        raise Overtaken(
            "another run has started to build the warehouse and discarded what this run built",
            do="nothing is lost: the next run builds what is missing",
        )
    candidate = CandidateFile(_path(project), build, found.copied_from, found.is_whole)
    assert_current(project, candidate)
    return candidate


def assert_current(project: Project, candidate: CandidateFile) -> None:
    """Checks that the published file is still the one that the candidate was copied from.

    Raises:
        Refused: it has changed since, so publishing would undo that change.
    """
    published = project.warehouse
    if (_identity(published) if published.exists() else None) != candidate.copied_from:
        raise Refused(
            f"another program changed {published.name} while this run was building",
            do="nothing was published and nothing is lost: the next run builds what is missing",
        )


def mark_whole(candidate: CandidateFile) -> None:
    """Records that the candidate is completely built and may be published."""
    _write_note(replace(candidate, is_whole=True))


def discard_candidate(project: Project) -> None:
    """Removes the candidate, if there is one."""
    path = _path(project)
    for file in (_note(path), log_of(path), path):
        file.unlink(missing_ok=True)
    shutil.rmtree(f"{path}.tmp", ignore_errors=True)


def take_in_log(file: Path) -> None:
    """Merges the write-ahead log that a killed writer left behind into its file.

    Otherwise DuckDB would apply it to whatever file is at that path when it is next opened.
    """
    if not file.exists():
        log_of(file).unlink(missing_ok=True)
    elif log_of(file).exists():
        with writing(file):
            pass


def _path(project: Project) -> Path:
    return project.warehouse.parent / "candidate" / project.warehouse.name


def _note(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _write_note(candidate: CandidateFile) -> None:
    mark = _Mark(candidate.build, candidate.copied_from, candidate.is_whole)
    replace_text(_note(candidate.path), MARK.text(mark))


def _identity(file: Path) -> Identity:
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
