"""Exports the project at a git revision into a temporary folder."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lakefeed.declaration.catalogue import CATALOGUE_FILE
from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.project import Project, open_project
from lakefeed.errors import BuildFailed, DeclarationError, LakefeedError
from lakefeed.transformation.dbt_adapter.runner import copy_parse_cache
from lakefeed.transformation.dbt_adapter.state_diff import write_state
from lakefeed.transformation.generate.dbt_packages import PACKAGE_FILES

_PROJECT_PATHS = (DECLARATION_FILE, CATALOGUE_FILE, "dbt")


@dataclass(frozen=True)
class Revision:
    """A revision's name, its commit, and the project at it, if there was one."""

    name: str
    commit: str
    project: Project | None


@contextmanager
def at_revision(project: Project, name: str) -> Iterator[Revision]:
    """Exports the project at a revision into a folder that is removed on exit.

    Reads only git. Third-party dbt packages are the ones installed now.

    Raises:
        DeclarationError: there is no git, no repository or no such revision, or this version of
            Lakefeed can't read the declaration.
    """
    commit = _commit_of(project.root, name)
    with tempfile.TemporaryDirectory(prefix="lakefeed-") as folder:
        root = Path(folder).resolve()
        if DECLARATION_FILE not in _export(project.root, commit, root):
            yield Revision(name, commit, None)
            return
        try:
            before = open_project(root, variables_from=project.root)
        except LakefeedError as error:
            raise DeclarationError(
                f"this version of Lakefeed can't read sources.yaml at {name}:\n{error}",
                do="compare with a revision whose sources.yaml is valid",
            ) from None
        link_uncommitted(project, before)
        yield Revision(name, commit, before)


def state_of(before: Revision, folder: Path) -> Path | None:
    """Writes dbt's state artifacts for a revision; None if there was no dbt project.

    Raises:
        BuildFailed: dbt can't parse the project at the revision.
    """
    try:
        return write_state(before.project, folder) if before.project else None
    except BuildFailed as error:
        raise BuildFailed(error.what, where=f"{error.where} at {before.name}") from None


def _commit_of(root: Path, name: str) -> str:
    _git(root, "rev-parse", "--show-toplevel")
    wanted = f"{name}^{{commit}}"
    try:
        found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    except DeclarationError:
        raise DeclarationError(
            f"git doesn't know the revision `{name}`",
            do="name a branch, a tag or a commit; if it isn't in this clone yet: git fetch origin "
            "(in GitHub Actions: actions/checkout with fetch-depth: 0)",
        ) from None
    return found.decode().strip()


def _export(root: Path, commit: str, folder: Path) -> list[str]:
    """Writes the project's files at the revision; returns the names of files and folders."""
    listed = _git(root, "ls-tree", "-z", "--name-only", commit, "--", *_PROJECT_PATHS)
    names = [name for name in listed.decode().split("\0") if name]
    if names:
        archive = _git(root, "archive", "--format=tar", commit, "--", *names)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
    return names


def link_uncommitted(project: Project, before: Project) -> None:
    """Links what isn't committed into a copy: installed dbt packages and dbt's parse cache.

    The files that declare the packages are copied with them: dbt 1.12 refuses one without the
    other.
    """
    if not before.dbt.exists():
        return
    copy_parse_cache(project, before.dbt / "target")
    installed = project.dbt / "dbt_packages"
    for package in installed.iterdir() if installed.exists() else ():
        lent = before.dbt / "dbt_packages" / package.name
        lent.parent.mkdir(exist_ok=True)
        lent.symlink_to(package.resolve())
    for name in PACKAGE_FILES:
        (before.dbt / name).unlink(missing_ok=True)
        if (project.dbt / name).exists():
            shutil.copyfile(project.dbt / name, before.dbt / name)


def _git(root: Path, *arguments: str) -> bytes:
    try:
        ended = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:
        raise DeclarationError(
            "git isn't installed or isn't on the PATH",
            do="install git; it is needed to compare with a revision",
        ) from None
    if ended.returncode:
        message = " ".join(ended.stderr.decode(errors="replace").split())
        raise DeclarationError(
            f"git failed in {root}: {message.removeprefix('fatal: ')}",
            do="run this in a project inside a git repository; to create one: git init",
        )
    return ended.stdout
