"""The demo's lake: it fills `data/`, and may delete there what it has made itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from lakefeed.declaration.project import Project
from lakefeed.errors import Refused

_MARKER = ".lakefeed-demo"
_LOCK = ".lakefeed-demo.lock"
# Committed, so that Docker finds a folder to mount a volume at, and makes none as root.
_PLACEHOLDER = ".gitkeep"
_OURS = {_MARKER, _LOCK, _PLACEHOLDER}


@contextmanager
def demo_lake(project: Project) -> Iterator[None]:
    """Takes `data/` for the demo, and for this process alone until the block ends.

    Side effects: creates the folder and marks it as the demo's.

    Raises:
        Refused: it holds a lake that isn't the demo's, or another process is at work in it.
    """
    data, marker = project.data, project.data / _MARKER
    if (
        data.exists()
        and not marker.exists()
        and any(p.name != _PLACEHOLDER for p in data.iterdir())
    ):
        raise Refused(
            f"{data} holds a lake that isn't the demo's",
            do="move it away, or go to a clone of its own",
        )
    data.mkdir(parents=True, exist_ok=True)
    lock = FileLock(data / _LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise Refused(
            f"`make airflow` or `make demo` is at work in {data}", do="end that with Ctrl-C first"
        ) from None
    try:
        marker.write_text("`lakefeed demo` may delete what is in this folder.\n", encoding="utf-8")
        yield
    finally:
        lock.release()


def empty_lake(project: Project) -> None:
    """Deletes all that the demo's lake holds."""
    for path in project.data.iterdir():
        if path.name in _OURS:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
