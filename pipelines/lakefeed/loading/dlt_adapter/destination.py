"""dlt's filesystem destination, resolved once a run: dlt looks it up 21 times a table."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from dlt.destinations import filesystem
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration
from dlt.destinations.impl.filesystem.filesystem import INIT_FILE_NAME, FilesystemClient
from dlt.destinations.impl.filesystem.typing import TExtraPlaceholders

from lakefeed.declaration.project import Project
from lakefeed.loading.dlt_adapter.config_providers import (
    Context,
    return_to,
    use_sparing_providers,
)
from lakefeed.loading.raw.filesystem import is_local

Configuration = FilesystemDestinationClientConfiguration

LAYOUT = "{table_name}/load_date={load_date}/{load_id}.{file_id}.{ext}"


def _load_date(_schema: str, _table: str, load_id: str, _file_id: str, _extension: str) -> str:
    """The day that a load began, in UTC; the same when a killed load goes on the day after."""
    return dt.datetime.fromtimestamp(float(load_id), dt.UTC).date().isoformat()


PLACEHOLDERS: TExtraPlaceholders = {"load_date": _load_date}


class RawClient(FilesystemClient):
    """dlt's client of a file system, which looks for a table's files in its own folder alone.

    dlt (1.31) lists a local folder by `glob.glob`, to which `plain[1]` is the folder `plain1`.
    """

    def list_files_with_prefixes(self, table_dir: str, prefixes: list[str]) -> list[str]:
        if not self.is_local_filesystem:
            return super().list_files_with_prefixes(table_dir, prefixes)
        return [path for path in _files_in(Path(table_dir)) if path.startswith(tuple(prefixes))]


def _files_in(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != INIT_FILE_NAME:
            yield str(path)


class RawDestination(filesystem):
    """The raw layer: one for all tables, so its settings can't differ by pipeline."""

    @property
    def destination_type(self) -> str:
        """What state and traces name, so that `dlt pipeline` finds dlt's own class."""
        return f"dlt.destinations.{filesystem.__name__}"

    @property
    def client_class(self) -> type[FilesystemClient]:
        kind = super().client_class
        return RawClient if kind is FilesystemClient else kind

    def configuration(
        self, initial_config: Configuration, accept_partial: bool = False
    ) -> Configuration:
        """As dlt resolves it the first time, from then on a copy with this table's names."""
        if initial_config.is_resolved():
            return initial_config
        resolved = self.__dict__.setdefault("_resolved", {})
        if accept_partial not in resolved:
            resolved[accept_partial] = super().configuration(initial_config.copy(), accept_partial)
        found: Configuration = resolved[accept_partial].copy()
        found.dataset_name = initial_config.dataset_name
        found.default_schema_name = initial_config.default_schema_name
        return found


@dataclass(frozen=True)
class _Known:
    """A destination, and what it was resolved from."""

    settings: tuple[Any, ...]
    destination: RawDestination


_lock = Lock()
_newest: list[_Known] = []


def raw_destination(project: Project) -> RawDestination:
    """The project's raw layer, resolved anew when the project or the environment is another.

    Side effect: has dlt read its settings then.
    """
    with _lock:
        settings = (project.root, project.raw_url, dict(os.environ))
        if not _newest or _newest[-1].settings != settings:
            use_sparing_providers(project.root)
            destination = RawDestination(
                bucket_url=_bucket_url(project.raw_url),
                layout=LAYOUT,
                extra_placeholders=PLACEHOLDERS,
                enable_dataset_name_normalization=False,
                warn_unsafe_layout_separators=False,
            )
            _newest[:] = [_Known(settings, destination)]
        return _newest[-1].destination


def put_back_context(context: Context | None) -> None:
    """Has dlt be in this context again; with None, in one that it makes when it is needed.

    Side effect: the next load resolves the destination again.
    """
    with _lock:
        # Without it dlt wasn't used.
        if _newest:
            _newest.clear()
            return_to(context)


def _bucket_url(raw_url: str) -> str:
    """A folder as a URL that means it literally: dlt would take a `?` in it for a URL's own."""
    return Path(raw_url).as_uri() if is_local(raw_url) else raw_url
