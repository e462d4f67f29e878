"""dlt's client for a raw layer in an object store."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from dlt.common import json
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.destination.client import JobClientBase
from dlt.common.schema import Schema
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration
from dlt.destinations.impl.filesystem.filesystem import CURRENT_VERSION, FilesystemClient

from lakefeed.declaration.environment.variables import data_folder
from lakefeed.declaration.project import Location
from lakefeed.loading.object_store.file_cache import cache_folder, keep_copy
from lakefeed.loading.object_store.filesystem import open_raw


@cache
def store_client(raw: Location) -> type[FilesystemClient]:
    """The class of clients for this raw layer; dlt makes its clients itself."""
    return type(StoreClient.__name__, (StoreClient,), {"raw": raw})


class StoreClient(FilesystemClient):
    """dlt's filesystem client for object stores, which asks for nothing that is known here.

    What dlt writes once per table, and once per version of its schema, is noted in the table's
    working directory: the mark of an initialized folder and the schema. dlt (1.31) would ask for
    both before each load, with eight requests. A table whose files of rows are gone loses that
    directory as well.
    """

    raw: ClassVar[Location]

    def __init__(
        self,
        schema: Schema,
        config: FilesystemDestinationClientConfiguration,
        capabilities: DestinationCapabilitiesContext,
    ) -> None:
        super().__init__(schema, config, capabilities)
        self.fs_client = _CopyingFiles(open_raw(self.raw)[0], self.raw, self.dataset_name)
        working = data_folder(self.raw.root) / ".dlt" / "pipelines" / self.dataset_name
        self._note = working / "lakefeed" / "stored_schema"

    def initialize_storage(self, truncate_tables: Any = None) -> None:
        if truncate_tables or not self._note.exists():
            super().initialize_storage(truncate_tables)

    def update_stored_schema(
        self,
        only_tables: Any = None,
        expected_update: Any = None,
        force: bool = False,
    ) -> Any:
        version = str(self.schema.stored_version_hash)
        if not force and self._note.exists() and self._note.read_text() == version:
            return JobClientBase.update_stored_schema(self, only_tables, expected_update, force)
        update = super().update_stored_schema(only_tables, expected_update, force)
        self._note.write_text(version)
        return update

    @property
    def storage_versions(self) -> tuple[int, int]:
        return (
            (CURRENT_VERSION, CURRENT_VERSION) if self._note.exists() else super().storage_versions
        )

    def _write_to_json_file(self, filepath: str, data: dict[str, Any]) -> None:
        """Writes a commit, or a schema: both once.

        The manifest of a load tells whose it is, so a commit that is there is ours, from before a
        kill.
        """
        with suppress(FileExistsError):
            self.fs_client.pipe_file(filepath, json.dumps(data).encode(), mode="create")


class _CopyingFiles:
    """A store's file system that keeps, on this machine, copies of the small files it uploads."""

    def __init__(self, filesystem: Any, raw: Location, lake_name: str) -> None:
        self._filesystem = filesystem
        self._folder = cache_folder(raw, lake_name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._filesystem, name)

    def put_file(self, lpath: str, rpath: str, *args: Any, **options: Any) -> None:
        """Uploads a file."""
        self._filesystem.put_file(lpath, rpath, *args, **options)
        keep_copy(self._folder, Path(lpath), rpath.rpartition("/")[2])
