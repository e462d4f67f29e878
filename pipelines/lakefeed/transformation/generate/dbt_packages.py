"""Lakefeed's dbt package in a project: declared, and linked where dbt looks for packages.

    dbt/packages.yml               declares the package, beside the user's own packages
    dbt/.lakefeed/dbt_package      link to the package; `dbt deps` installs from here
    dbt/dbt_packages/lakefeed      link to the package; dbt reads it here

The macros exist once, inside the installed Python package; the links are never committed.
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

# The files in which dbt looks for a project's packages.
PACKAGE_FILES = ("packages.yml", "dependencies.yml", "package-lock.yml")
LINKS = ".lakefeed"
_DECLARED, _OTHERWISE_DECLARED, _LOCK = PACKAGE_FILES
_LOCAL = f"{LINKS}/dbt_package"
_TEXT = f"""\
# The dbt packages of this project. `lakefeed sync` links Lakefeed's macros; add others below.
packages:
  - local: {_LOCAL}
"""
# Since this version, dbt refuses packages that are installed but not declared
# (dbt-labs/dbt-core#12508; #16179 asks to change that).
_COUNTS_PACKAGES = (1, 12)


def link_dbt_package(project: Project) -> dict[str, str]:
    """Links Lakefeed's dbt package into `dbt_packages/`, as `dbt deps` would install it.

    An identical copy, such as one made by `cp -rL`, is accepted. On file systems without links, the
    package is copied.

    Side effect: writes `packages.yml` in a project that declares no packages.

    Returns: the text of that file by its path in the project, if it was written.
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


def provide_dbt_package(project: Project) -> None:
    """Links Lakefeed's dbt package, before dbt starts.

    Raises:
        BuildFailed: the project doesn't declare the package, so dbt would refuse it.
    """
    link_dbt_package(project)
    if error := undeclared_package(project):
        raise error


def undeclared_package(project: Project) -> BuildFailed | None:
    """The error if the project doesn't declare Lakefeed's package and the installed dbt minds."""
    declaring, lock = _declaring_file(project), project.dbt / _LOCK
    if declaring is None or not _dbt_counts_packages():
        return None
    # dbt counts the packages in the lock file, if there are any.
    decides = lock if lock.exists() and _packages(lock) else declaring
    if _names_lakefeed(decides):
        return None
    add = "" if _names_lakefeed(declaring) else f"add `- local: {_LOCAL}` to dbt/{declaring.name}"
    deps = "run `dbt deps` in dbt/" if decides == lock else ""
    return BuildFailed(
        f"dbt {version('dbt-core')} requires every installed package to be declared, but "
        "Lakefeed's is not",
        where=f"dbt/{decides.name}",
        do=", then ".join(filter(None, (add, deps))),
    )


def _dbt_counts_packages() -> bool:
    return tuple(int(part) for part in version("dbt-core").split(".")[:2]) >= _COUNTS_PACKAGES


def _declaring_file(project: Project) -> Path | None:
    """The file that declares the project's packages: dbt allows one of the two."""
    declared, otherwise = (project.dbt / name for name in (_DECLARED, _OTHERWISE_DECLARED))
    if declared.exists():
        return declared
    return otherwise if otherwise.exists() and _packages(otherwise) is not None else None


def _names_lakefeed(path: Path) -> bool:
    packages = _packages(path) or []
    return any("lakefeed" in str(package.get("local")) for package in packages)


def _packages(path: Path) -> list[dict[str, object]] | None:
    """The packages listed in a file, or None. dbt itself reports YAML that can't be read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return None
    packages = content.get("packages") if isinstance(content, dict) else None
    return packages if isinstance(packages, list) else None


def _link(link: Path, target: Path) -> None:
    if link.is_symlink() and link.resolve() == target.resolve():
        return
    # A link of another user, as in a container, may lead where this user may not even look.
    if not link.is_symlink() and link.is_dir():
        if _contents(link) == _contents(target):
            return
        shutil.rmtree(link)
    link.parent.mkdir(parents=True, exist_ok=True)
    # Replaced atomically, since another process may do the same; made outside `dbt_packages`, since
    # dbt takes every folder in there for a package.
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
