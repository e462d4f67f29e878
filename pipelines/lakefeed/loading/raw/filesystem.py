"""The file system that the raw layer lies in, and the path of its folder there."""

from __future__ import annotations

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem


def open_raw(raw_url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a raw layer, without what it remembers of listings, and the folder.

    A folder is taken literally: fsspec would read `::` in its name as one URL within another.
    """
    if is_local(raw_url):
        filesystem, root = LocalFileSystem(), raw_url
    else:
        filesystem, root = fsspec.url_to_fs(raw_url)
    filesystem.invalidate_cache()
    return filesystem, str(root).rstrip("/")


def is_local(raw_url: str) -> bool:
    """Whether a project's raw layer (`Project.raw_url`) is a folder of this machine."""
    return "://" not in raw_url
