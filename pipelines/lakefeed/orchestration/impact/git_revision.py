"""The project as it stands at a git revision, written into a folder of its own."""

from __future__ import annotations

import io
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
from lakefeed.transformation.dbt_adapter.runner import lend_parsed
from lakefeed.transformation.dbt_adapter.state_diff import write_state

_OF_A_PROJECT = (DECLARATION_FILE, CATALOGUE_FILE, "dbt")


@dataclass(frozen=True)
class Revision:
    """A revision as it was named, its commit, and the project there; None where there was none."""

    name: str
    commit: str
    project: Project | None


@contextmanager
def at_revision(project: Project, name: str) -> Iterator[Revision]:
    """The project at a revision, in a folder that is gone afterwards.

    Asks git alone. dbt packages of other people are those that are installed now.

    Raises:
        DeclarationError: there is no git, no repository or no such revision, or the declaration
            can't be read by today's rules.
    """
    commit = _commit_of(project.root, name)
    with tempfile.TemporaryDirectory(prefix="lakefeed-") as folder:
        root = Path(folder).resolve()
        if DECLARATION_FILE not in _export(project.root, commit, root):
            yield Revision(name, commit, None)
            return
        try:
            before = open_project(root)
        except LakefeedError as error:
            raise DeclarationError(
                f"the declaration of {name} can't be read by today's rules:\n{error}",
                do="compare with a revision in which it is mended",
            ) from None
        lend_uncommitted(project, before)
        yield Revision(name, commit, before)


def state_of(before: Revision, folder: Path) -> Path | None:
    """Has dbt write what it parses of a revision; None where there was no dbt project.

    Raises:
        BuildFailed: dbt can't parse what it was.
    """
    try:
        return write_state(before.project, folder) if before.project else None
    except BuildFailed as error:
        raise BuildFailed(error.what, where=f"{error.where} of {before.name}") from None


def _commit_of(root: Path, name: str) -> str:
    _git(root, "rev-parse", "--show-toplevel")
    wanted = f"{name}^{{commit}}"
    try:
        found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    except DeclarationError:
        raise DeclarationError(
            f"git knows no revision `{name}` here",
            do="name a branch, a tag or a commit; one of another clone is fetched first: "
            "git fetch origin (in GitHub Actions: actions/checkout with fetch-depth: 0)",
        ) from None
    return found.decode().strip()


def _export(root: Path, commit: str, folder: Path) -> list[str]:
    """Writes what the revision has of a project; returns the names of files and folders."""
    listed = _git(root, "ls-tree", "-z", "--name-only", commit, "--", *_OF_A_PROJECT)
    names = [name for name in listed.decode().split("\0") if name]
    if names:
        archive = _git(root, "archive", "--format=tar", commit, "--", *names)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(folder, filter="data")
    return names


def lend_uncommitted(project: Project, before: Project) -> None:
    """Gives a copy of a project what isn't committed with it: dbt packages, and what dbt parsed."""
    if not before.dbt.exists():
        return
    lend_parsed(project, before.dbt / "target")
    installed = project.dbt / "dbt_packages"
    for package in installed.iterdir() if installed.exists() else ():
        lent = before.dbt / "dbt_packages" / package.name
        lent.parent.mkdir(exist_ok=True)
        lent.symlink_to(package.resolve())


def _git(root: Path, *arguments: str) -> bytes:
    try:
        ended = subprocess.run(["git", *arguments], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:
        raise DeclarationError("git isn't installed, or not on the path") from None
    if ended.returncode:
        told = " ".join(ended.stderr.decode(errors="replace").split())
        raise DeclarationError(
            f"git can't tell the past of {root}: {told.removeprefix('fatal: ')}",
            do="go to a project that lies in a git repository, or make one: git init",
        )
    return ended.stdout
