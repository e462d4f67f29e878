"""Lakefeed's dbt package in a project: linked where dbt finds it, declared where dbt counts it.

    dbt/packages.yml               declares it, beside packages of the user's own
    dbt/.lakefeed/dbt_package      the installed package, from which `dbt deps` installs
    dbt/dbt_packages/lakefeed      the same, where dbt reads packages

The macros exist once, inside the installed Lakefeed; neither link is ever committed.
"""

from __future__ import annotations

import errno
import shutil
import uuid
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import yaml

from lakefeed.declaration.project import Project
from lakefeed.errors import BuildFailed
from lakefeed.textfile import replace_text

# What dbt reads of a project's packages.
PACKAGE_FILES = ("packages.yml", "dependencies.yml", "package-lock.yml")
LINKS = ".lakefeed"
_DECLARED, _OTHERWISE_DECLARED, _LOCK = PACKAGE_FILES
_LOCAL = f"{LINKS}/dbt_package"
_TEXT = f"""\
# Packages of the dbt project. The first is Lakefeed's macros; `lakefeed sync` links them there.
packages:
  - local: {_LOCAL}
"""
# From this version on, dbt refuses a package that is installed and not declared:
# dbt-labs/dbt-core#16179, since #12508.
_COUNTS_PACKAGES = (1, 12)


def link_dbt_package(project: Project) -> dict[str, str]:
    """Puts Lakefeed's macros where dbt looks for packages, as `dbt deps` would.

    A copy of them, as `cp -rL` makes it, does as well while it is the same; where a file system
    has no links, we copy them ourselves.

    Side effect: a project that declares no packages at all declares this one from here on.

    Returns: the text of the file that it declared it in, by its path below the project.
    """
    target = Path(str(files("lakefeed.transformation") / "dbt_package"))
    ignored = project.dbt / LINKS / ".gitignore"
    if not ignored.exists():
        replace_text(ignored, "*\n")
    _link(project.dbt / _LOCAL, target)
    _link(project.dbt / "dbt_packages" / "lakefeed", target)
    if _declaring_file(project) is not None:
        return {}
    replace_text(project.dbt / _DECLARED, _TEXT)
    return {f"dbt/{_DECLARED}": _TEXT}


def undeclared_package(project: Project) -> BuildFailed | None:
    """Why the installed dbt would refuse Lakefeed's package in this project, and what to do."""
    declaring, lock = _declaring_file(project), project.dbt / _LOCK
    if declaring is None or not _dbt_counts_packages():
        return None
    # Where a lock has packages, dbt counts those.
    decides = lock if lock.exists() and _packages(lock) else declaring
    if _names_lakefeed(decides):
        return None
    add = "" if _names_lakefeed(declaring) else f"add `- local: {_LOCAL}` to dbt/{declaring.name}"
    deps = "run in dbt/: dbt deps" if decides == lock else ""
    return BuildFailed(
        f"dbt {version('dbt-core')} refuses packages that are installed but not declared, and "
        "Lakefeed's macros are such a package",
        where=f"dbt/{decides.name}",
        do="; then ".join(filter(None, (add, deps))),
    )


def _dbt_counts_packages() -> bool:
    return tuple(int(part) for part in version("dbt-core").split(".")[:2]) >= _COUNTS_PACKAGES


def _declaring_file(project: Project) -> Path | None:
    """The file that declares a project's packages, which dbt allows in one of two."""
    declared, otherwise = (project.dbt / name for name in (_DECLARED, _OTHERWISE_DECLARED))
    if declared.exists():
        return declared
    return otherwise if otherwise.exists() and _packages(otherwise) is not None else None


def _names_lakefeed(path: Path) -> bool:
    packages = _packages(path) or []
    return any("lakefeed" in str(package.get("local")) for package in packages)


def _packages(path: Path) -> list[dict[str, object]] | None:
    """The packages in a file; None where it has no list of them. dbt says what it can't read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return None
    packages = content.get("packages") if isinstance(content, dict) else None
    return packages if isinstance(packages, list) else None


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.resolve() == target.resolve():
        return
    if link.is_dir() and not link.is_symlink():
        if _contents(link) == _contents(target):
            return
        shutil.rmtree(link)
    link.parent.mkdir(parents=True, exist_ok=True)
    # In one step, since another process may be doing the same; elsewhere than in `dbt_packages`,
    # since dbt takes all that it finds there for packages.
    part = link.parents[1] / LINKS / f"{link.name}-{uuid.uuid4().hex}"
    try:
        part.symlink_to(target, target_is_directory=True)
        part.replace(link)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV):
            raise
        for stale in (part, link):
            if stale.is_symlink():
                stale.unlink()
        shutil.copytree(target, link, dirs_exist_ok=True)


def _contents(folder: Path) -> dict[Path, bytes]:
    paths = (path for path in folder.rglob("*") if path.suffix in (".sql", ".yml"))
    return {path.relative_to(folder): path.read_bytes() for path in paths}
