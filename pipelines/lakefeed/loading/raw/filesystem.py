"""Opens the file system of the raw layer: a local folder or an object store."""

from __future__ import annotations

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem


def open_raw(raw_url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a raw layer, with empty listing caches, and the path of its folder.

    A local folder is taken literally: fsspec would parse `::` in its name as a chained URL
    (https://filesystem-spec.readthedocs.io/en/latest/features.html#url-chaining).
    """
    if is_local(raw_url):
        filesystem, root = LocalFileSystem(), raw_url
    else:
        filesystem, root = fsspec.url_to_fs(raw_url)
    filesystem.invalidate_cache()
    return filesystem, str(root).rstrip("/")


def is_local(raw_url: str) -> bool:
    """Whether a raw layer (`Project.raw_url`) is a local folder."""
    return "://" not in raw_url
