"""dlt's filesystem destination, resolved once a run: dlt looks it up 21 times a table."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass
from threading import Lock
from typing import Any

from dlt.destinations import filesystem
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration
from dlt.destinations.impl.filesystem.typing import TExtraPlaceholders

from pipelines.declaration.project import Project
from pipelines.loading.providers import use_sparing_providers

Configuration = FilesystemDestinationClientConfiguration

LAYOUT = "{table_name}/load_date={load_date}/{load_id}.{file_id}.{ext}"


def _load_date(_schema: str, _table: str, load_id: str, _file_id: str, _extension: str) -> str:
    """The day that a load began, in UTC; the same when a killed load goes on the day after."""
    return dt.datetime.fromtimestamp(float(load_id), dt.UTC).date().isoformat()


PLACEHOLDERS: TExtraPlaceholders = {"load_date": _load_date}


class RawDestination(filesystem):
    """The raw layer: one for all tables, so its settings can't differ by pipeline."""

    @property
    def destination_type(self) -> str:
        """What state and traces name, so that `dlt pipeline` finds dlt's own class."""
        return f"dlt.destinations.{filesystem.__name__}"

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
                bucket_url=project.raw_url,
                layout=LAYOUT,
                extra_placeholders=PLACEHOLDERS,
                enable_dataset_name_normalization=False,
                warn_unsafe_layout_separators=False,
            )
            _newest[:] = [_Known(settings, destination)]
        return _newest[-1].destination
