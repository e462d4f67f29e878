"""Files that must never be seen half written, nor be lost with the power."""

from __future__ import annotations

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Writes the file whole or not at all, even when the process dies in between.

    Of a link, the file that it leads to: the link stays.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
    except OSError as error:
        # The system doesn't say which file it has no room for.
        error.filename = error.filename or str(part)
        raise
    part.replace(path)


def to_disk(path: Path) -> None:
    """What was written to a file or a folder is there after a power failure too."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
