"""dlt's filesystem destination, resolved once per run: dlt resolves it 21 times per table."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema import Schema
from dlt.destinations import filesystem
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration
from dlt.destinations.impl.filesystem.filesystem import INIT_FILE_NAME, FilesystemClient
from dlt.destinations.impl.filesystem.typing import TExtraPlaceholders
from fsspec.implementations.local import LocalFileSystem

from lakefeed.declaration.project import Location, Project
from lakefeed.loading.dlt_adapter.config_providers import (
    Context,
    restore_dlt_context,
    use_filtering_providers,
)
from lakefeed.loading.dlt_adapter.store_client import store_client
from lakefeed.loading.raw.commit_log import LOADS_FOLDER
from lakefeed.textfile import to_disk

Configuration = FilesystemDestinationClientConfiguration

LAYOUT = "{table_name}/load_date={load_date}/{load_id}.{file_id}.{ext}"


def _load_date(_schema: str, _table: str, load_id: str, _file_id: str, _extension: str) -> str:
    """The day on which the load started, in UTC, even if it is resumed on a later day."""
    return dt.datetime.fromtimestamp(float(load_id), dt.UTC).date().isoformat()


PLACEHOLDERS: TExtraPlaceholders = {"load_date": _load_date}


class _LinkingFileSystem(LocalFileSystem):  # type: ignore[misc]
    """The local file system; puts a file in place by a second name for it, where that is possible.

    dlt deletes the first one with the load package. Copying 140 MB takes a third of a second.
    """

    def put_file(self, lpath: str, rpath: str, *args: Any, **options: Any) -> None:
        """Puts a local file where it is wanted, in place of one that may be there."""
        Path(rpath).unlink(missing_ok=True)
        try:
            os.link(lpath, rpath)
        except OSError:
            # On another disk, or on one without links.
            super().put_file(lpath, rpath, *args, **options)


class RawClient(FilesystemClient):
    """dlt's filesystem client, with three changes for local folders.

    It links files instead of copying them, goes on where a killed load has left a folder, and takes
    the names of folders literally: dlt (1.31) lists a folder with `glob.glob`, for which `plain[1]`
    is the folder `plain1`.
    """

    def __init__(
        self,
        schema: Schema,
        config: FilesystemDestinationClientConfiguration,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(schema, config, capabilities)
        self.fs_client = _LinkingFileSystem()

    def create_dataset(self) -> None:
        """Creates the table's raw folder, unless it is there."""
        self.fs_client.makedirs(self.dataset_path, exist_ok=True)

    def list_files_with_prefixes(self, table_dir: str, prefixes: list[str]) -> list[str]:
        return [path for path in _files_in(Path(table_dir)) if path.startswith(tuple(prefixes))]

    def complete_load(self, load_id: str) -> None:
        """Commits a load, once the local disk has its rows and its manifest.

        A power failure may undo the commit, and then the load is read again; it must not undo what
        is committed. File systems with a journal keep the order in which files were created, so
        that folders need no fsync of their own.
        """
        raw, day = Path(self.dataset_path), _load_date("", "", load_id, "", "")
        for file in raw.glob(f"*/load_date={day}/{load_id}.*"):
            to_disk(file)
        for file in raw.glob(f"{LOADS_FOLDER}/{load_id}.json"):
            to_disk(file)
        super().complete_load(load_id)


def _files_in(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != INIT_FILE_NAME:
            yield str(path)


class RawDestination(filesystem):
    """The raw layer, shared by all tables, so that its settings can't differ by pipeline.

    `raw` is where it is, if that is an object store.
    """

    raw: Location | None = None

    @property
    def config_params(self) -> dict[str, Any]:
        """A copy of its explicit settings.

        dlt (1.31) adds the name and the folders of the pipeline that a destination belongs to. This
        one belongs to all, and a thread that walked through them at that moment would fail.
        """
        return dict(self._config_params)

    @config_params.setter
    def config_params(self, params: dict[str, Any]) -> None:
        self._config_params = params

    @property
    def destination_type(self) -> str:
        """The type that dlt records in state and traces: its own, so `dlt pipeline` can open it."""
        return f"dlt.destinations.{filesystem.__name__}"

    @property
    def client_class(self) -> type[FilesystemClient]:
        kind = super().client_class
        if kind is not FilesystemClient:
            return kind
        return store_client(self.raw) if self.raw else RawClient

    def configuration(
        self, initial_config: Configuration, accept_partial: bool = False
    ) -> Configuration:
        """Resolves the configuration once, then returns copies with the names of each table."""
        if initial_config.is_resolved():
            return initial_config
        resolved = self.__dict__.setdefault("_resolved", {})
        if accept_partial not in resolved:
            resolved[accept_partial] = super().configuration(initial_config.copy(), accept_partial)
        # Its own `copy` (dlt 1.31) would lose credentials that a machine has by itself.
        found: Configuration = copy(resolved[accept_partial])
        found.dataset_name = initial_config.dataset_name
        found.default_schema_name = initial_config.default_schema_name
        return found


@dataclass(frozen=True)
class _Resolved:
    """A destination, and the settings that it was resolved from."""

    settings: tuple[Any, ...]
    destination: RawDestination


_lock = Lock()
_latest: list[_Resolved] = []


def raw_destination(project: Project) -> RawDestination:
    """The project's raw layer, resolved again if the project or the environment has changed.

    Side effect: makes dlt read its settings in that case.
    """
    with _lock:
        settings = (project.root, project.raw, dict(os.environ))
        if not _latest or _latest[-1].settings != settings:
            use_filtering_providers(project.root)
            destination = RawDestination(
                bucket_url=_bucket_url(project.raw),
                layout=LAYOUT,
                extra_placeholders=PLACEHOLDERS,
                enable_dataset_name_normalization=False,
                warn_unsafe_layout_separators=False,
            )
            destination.raw = None if project.raw.is_local else project.raw
            _latest[:] = [_Resolved(settings, destination)]
        return _latest[-1].destination


def restore_context(context: Context | None) -> None:
    """Restores dlt's run context; with None, dlt creates one when it needs it.

    Side effect: the next load resolves the destination again.
    """
    with _lock:
        # Otherwise dlt wasn't used.
        if _latest:
            _latest.clear()
            restore_dlt_context(context)


def _bucket_url(raw: Location) -> str:
    """A local folder as an escaped URL: dlt would parse a `?` in its name as a query string."""
    return Path(raw.url).as_uri() if raw.is_local else raw.url
