"""Writes files of raw on any file system, in one step: once, or in place of an earlier one.

An object store shows a file only when it is whole, so that one request does. A file that is written
once is written on the store's own condition that it isn't there yet (`If-None-Match` on S3, the
generation on Google's, an overwrite that is refused on Azure's): of two writers, one wins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lakefeed.textfile import replace_text


def replace_file(
    filesystem: Any, path: str, text: str, *, is_local: bool, durable: bool = False
) -> None:
    """Writes a file, or puts it in the place of an earlier one.

    Args:
        durable: on a local disk, wait until the disk has it.
    """
    if is_local:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        replace_text(Path(path), text, durable=durable)
    else:
        filesystem.pipe_file(path, text.encode())


def create_file(filesystem: Any, path: str, content: bytes) -> None:
    """Writes a file in a store that isn't there yet; does nothing if it is there and is the same.

    A request may have succeeded although its answer was lost, and is then repeated.

    Raises:
        FileExistsError: another file is there.
    """
    try:
        filesystem.pipe_file(path, content, mode="create")
    except FileExistsError:
        if filesystem.cat_file(path) != content:
            raise
