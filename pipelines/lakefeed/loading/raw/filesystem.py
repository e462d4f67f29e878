"""Opens the file system of the raw layer: a local folder or an object store."""

from __future__ import annotations

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from lakefeed.extras import require

# The extra that has fsspec's file system for a scheme, and that file system's package.
_S3, _GS, _AZ = ("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")
_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), _S3),
    **dict.fromkeys(("gs", "gcs"), _GS),
    **dict.fromkeys(("az", "abfs", "abfss", "adl", "azure"), _AZ),
}


def open_raw(raw_url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a raw layer, with empty listing caches, and the path of its folder.

    A local folder is taken literally: fsspec would parse `::` in its name as a chained URL
    (https://filesystem-spec.readthedocs.io/en/latest/features.html#url-chaining).

    Raises:
        ExtraMissing: the package for this kind of URL isn't installed.
    """
    require_filesystem(raw_url)
    if is_local(raw_url):
        filesystem, root = LocalFileSystem(), raw_url
    else:
        filesystem, root = fsspec.url_to_fs(raw_url)
    filesystem.invalidate_cache()
    return filesystem, str(root).rstrip("/")


def require_filesystem(raw_url: str) -> None:
    """Raises ExtraMissing where the package for this kind of URL isn't installed."""
    scheme, is_url, _ = raw_url.partition("://")
    if is_url and scheme in _EXTRAS:
        extra, module = _EXTRAS[scheme]
        require(module, extra, f"`raw: {{url: {scheme}://…}}`")


def is_local(raw_url: str) -> bool:
    """Whether a raw layer (`Project.raw_url`) is a local folder."""
    return "://" not in raw_url
