"""The candidate: the warehouse as it may become, built and tested beside the published file.

    data/warehouse.duckdb                  published: what people query
    data/candidate/warehouse.duckdb        a copy of it, on which dbt works
    data/candidate/warehouse.duckdb.json   whose it is, and of which file it is a copy

DuckDB names a database after its file, and dbt writes that name into the SQL of views: so the
candidate has the name of the published file, in another folder. Whatever dies leaves the published
file as it was; a candidate that was left behind is thrown away by the next build.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from lakefeed.declaration.project import Project
from lakefeed.documents import Format
from lakefeed.errors import Refused, WarehouseDamaged
from lakefeed.textfile import replace_text
from lakefeed.transformation.warehouse.open_file import log_of, reading, writing

# A file's number, size and time of change.
Identity = tuple[int, int, int]


@dataclass(frozen=True)
class Candidate:
    """A candidate: its file, the build it is of, and the published file it was copied from.

    `is_whole` is false while only staging is built in it.
    """

    path: Path
    build: str
    copied_from: Identity | None
    is_whole: bool = False


@dataclass(frozen=True)
class _Mark:
    """What stands beside a candidate."""

    build: str
    copied_from: Identity | None
    is_whole: bool


MARK = Format(_Mark, "candidate's mark")


def start_candidate(project: Project, build: str, *, empty: bool = False) -> Candidate:
    """A copy of the published file, for this build alone; nothing yet where there is none.

    Args:
        empty: nothing in any case, to be built from nothing.

    Side effects: throws away what an earlier build left, and has the published file take in what a
    writer that was killed left beside it.

    Raises:
        BuildFailed: another program has the published file open for writing.
    """
    discard_candidate(project)
    path = _path(project)
    copied_from = _identity_of_published(project) if empty else copy_published(project, path)
    candidate = Candidate(path, build, copied_from)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_note(candidate)
    return candidate


def copy_published(project: Project, path: Path) -> Identity | None:
    """Copies the published file, which no writer touches meanwhile; None where there is none.

    Side effects: makes the folder; has the published file take in what a writer that was killed
    left beside it.

    Raises:
        BuildFailed: another program has the published file open for writing.
        WarehouseDamaged: the published file can't be read.
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
    """Which file is published, be it damaged; nobody writes it.

    Raises:
        BuildFailed: another program has the published file open for writing.
    """
    published = project.warehouse
    with suppress(WarehouseDamaged):
        take_in_log(published)
        with reading(published):
            pass
    return _identity(published) if published.exists() else None


def open_candidate(project: Project, build: str) -> Candidate:
    """The candidate that an earlier step of this build left.

    Raises:
        Refused: another build has begun since, or the published file was changed.
        NewerFormat: a newer version built it.
    """
    note = _note(_path(project))
    found = MARK.read(note.read_text(encoding="utf-8"), str(note)) if note.exists() else None
    if found is None or found.build != build:
        raise Refused(
            "what this run built is gone: another run has begun to build the warehouse since",
            do="nothing is lost: the next run builds what is missing",
        )
    candidate = Candidate(_path(project), build, found.copied_from, found.is_whole)
    assert_current(project, candidate)
    return candidate


def assert_current(project: Project, candidate: Candidate) -> None:
    """Holds the published file against the one that the candidate was copied from.

    Raises:
        Refused: it is another, so that publishing would undo what became of it.
    """
    published = project.warehouse
    if (_identity(published) if published.exists() else None) != candidate.copied_from:
        raise Refused(
            f"{published.name} was changed while this run built its successor",
            do="nothing is published and nothing lost: the next run builds what is missing",
        )


def mark_whole(candidate: Candidate) -> None:
    """Notes that all of it is built, so that it may be published."""
    _write_note(replace(candidate, is_whole=True))


def discard_candidate(project: Project) -> None:
    """Throws away the candidate, if there is one."""
    path = _path(project)
    for leftover in (_note(path), log_of(path), path):
        leftover.unlink(missing_ok=True)
    shutil.rmtree(f"{path}.tmp", ignore_errors=True)


def take_in_log(file: Path) -> None:
    """Puts what a killed writer left beside a file into it, as its next writer would.

    DuckDB would put it into whatever file stands there by then.
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


def _write_note(candidate: Candidate) -> None:
    mark = _Mark(candidate.build, candidate.copied_from, candidate.is_whole)
    replace_text(_note(candidate.path), MARK.text(mark))


def _identity(file: Path) -> Identity:
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
