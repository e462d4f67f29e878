"""Files that are never seen half written and survive a power failure."""

from __future__ import annotations

import os
from pathlib import Path


def replace_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Writes the file whole or not at all, even if the process dies or the power fails.

    If the path is a symbolic link, its target is replaced and the link stays.

    Args:
        durable: wait until the disk has the file. False for files that mean nothing after the
            machine has stopped.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        if durable:
            # Before the rename: otherwise the name may survive a power failure and its text not.
            to_disk(part)
    except OSError as error:
        # The system doesn't say which file it has no room for.
        error.filename = error.filename or str(part)
        raise
    part.replace(path)
    if durable:
        to_disk(path.parent)


def to_disk(path: Path) -> None:
    """Waits until the disk has what was written to a file or a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
