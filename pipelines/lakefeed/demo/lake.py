"""The demo's lake in `data/`, which the demo may delete because it has marked it as its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lakefeed.declaration.catalogue import CATALOGUE_FILE
from lakefeed.declaration.document.loader import DECLARATION_FILE
from lakefeed.declaration.project import Project, open_project
from lakefeed.errors import Refused

_MARKER = ".lakefeed-demo"
_LOCK = ".lakefeed-demo.lock"
# Committed, so that the folder exists when Docker mounts a volume there: Docker would create it as
# root.
_PLACEHOLDER = ".gitkeep"
_OURS = {_MARKER, _LOCK, _PLACEHOLDER}


@contextmanager
def demo_lake(project: Project) -> Iterator[None]:
    """Locks `data/` for the demo, for this process only, until the block ends.

    Side effects: creates the folder and marks it as the demo's.

    Raises:
        Refused: it contains a lake that isn't the demo's, or another process is using it.
    """
    data, marker = project.data, project.data / _MARKER
    if (
        data.exists()
        and not marker.exists()
        and any(p.name != _PLACEHOLDER for p in data.iterdir())
    ):
        raise Refused(
            f"{data} contains a lake that isn't the demo's",
            do="move it away, or use a separate clone",
        )
    data.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data / _LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Refused(
            f"`make airflow` or `make demo` is already running in {data}",
            do="stop it with Ctrl-C first",
        ) from None
    try:
        marker.write_text("`lakefeed demo` may delete this folder's contents.\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def copy_with(project: Project, folder: Path, settings: Mapping[str, str]) -> Project:
    """A copy of the project, without its lake, with these settings at the top of sources.yaml."""
    ignored = shutil.ignore_patterns("target", "logs", "dbt_packages", ".lakefeed")
    for name in ("dbt", ".dlt"):
        if (project.root / name).exists():
            shutil.copytree(project.root / name, folder / name, ignore=ignored)
    for name in (DECLARATION_FILE, CATALOGUE_FILE):
        shutil.copy(project.root / name, folder / name)
    declaration = folder / DECLARATION_FILE
    text = declaration.read_text(encoding="utf-8")
    others = re.sub(rf"^(?:{'|'.join(settings)}): .*\n", "", text, flags=re.MULTILINE)
    lines = "".join(f"{name}: {value}\n" for name, value in settings.items())
    declaration.write_text(lines + others, encoding="utf-8")
    return open_project(folder)


def empty_lake(project: Project) -> None:
    """Deletes the contents of the demo's lake."""
    for path in project.data.iterdir():
        if path.name in _OURS:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
