"""Opens the file system of the raw layer: a local folder or an object store."""

from __future__ import annotations

from copy import copy
from typing import Any

from fsspec import AbstractFileSystem, get_filesystem_class
from fsspec.implementations.local import LocalFileSystem

from lakefeed.declaration.project import Location
from lakefeed.extras import require
from lakefeed.loading.dlt_settings.schemes import scheme_of
from lakefeed.loading.dlt_settings.store_settings import store_settings
from lakefeed.loading.object_store.s3_session import describe_s3, s3_session
from lakefeed.loading.object_store.store_errors import NamedErrors

# The extra that has fsspec's file system for a kind of store, and the modules that it installs.
_MODULES = {
    "s3": ("s3fs", "duckdb_extension_httpfs"),
    "gs": ("gcsfs",),
    "az": ("adlfs", "duckdb_extension_azure"),
}


def open_raw(raw: Location) -> tuple[AbstractFileSystem, str]:
    """The file system of a raw layer, with empty listing caches, and the path of its folder.

    A local folder is taken literally: fsspec would parse `::` in its name as a chained URL
    (https://filesystem-spec.readthedocs.io/en/latest/features.html#url-chaining).

    Raises:
        ExtraMissing: the package for this kind of URL isn't installed.
        DeclarationError: no credentials for the store were found.
    """
    require_filesystem(raw)
    if raw.is_local:
        filesystem, root = LocalFileSystem(), raw.url
    else:
        filesystem, root = store_filesystem(raw)
        filesystem = NamedErrors(filesystem, raw)
    filesystem.invalidate_cache()
    return filesystem, str(root).rstrip("/")


# Those of the settings that were used last, with their connections.
_latest: dict[Location, tuple[Any, AbstractFileSystem, str]] = {}


def store_filesystem(raw: Location) -> tuple[AbstractFileSystem, str]:
    """fsspec's own file system of an object store, and the path of the raw layer in it."""
    from dlt.common.storages.fsspec_filesystem import fsspec_from_config

    settings = store_settings(raw)
    if raw not in _latest or _latest[raw][0] is not settings:
        # fsspec would return the one that it made before a variable was changed.
        # The settings' own `copy` would lose credentials that a machine has by itself.
        fresh = copy(settings)
        fresh.kwargs = {**(settings.kwargs or {}), "skip_instance_cache": True}
        if scheme_of(raw) == "s3":
            fresh.kwargs["session"] = s3_session(_profile_of(settings))
        filesystem, root = fsspec_from_config(fresh)
        _latest[raw] = (settings, filesystem, str(root))
    return _latest[raw][1:]


def _profile_of(settings: Any) -> str | None:
    profile: str | None = settings.credentials.profile_name
    return profile


def import_filesystem(raw: Location) -> None:
    """Imports what reaches this raw layer, for all processes that are forked from this one.

    Raises:
        ExtraMissing: the package for this kind of URL isn't installed.
    """
    require_filesystem(raw)
    kind = None if raw.is_local else scheme_of(raw)
    if kind:
        get_filesystem_class(kind)
    if kind == "s3":
        describe_s3()


def require_filesystem(raw: Location) -> None:
    """Raises ExtraMissing where a package for this kind of URL isn't installed."""
    kind = None if raw.is_local else scheme_of(raw)
    for module in _MODULES.get(kind or "", ()):
        assert kind is not None
        require(module, kind, f"`{raw.url}`")
