"""dlt's filesystem destination, resolved once: its configuration is looked up 21 times a table."""

from __future__ import annotations

import copy

from dlt.destinations import filesystem
from dlt.destinations.impl.filesystem.configuration import FilesystemDestinationClientConfiguration

Configuration = FilesystemDestinationClientConfiguration


class RawDestination(filesystem):
    """The raw layer, for as long as one table is loaded.

    Environment and files that the configuration comes from don't change in that time.
    """

    @property
    def destination_type(self) -> str:
        """What state and traces name, so that `dlt pipeline` finds dlt's own class."""
        return f"dlt.destinations.{filesystem.__name__}"

    def configuration(
        self, initial_config: Configuration, accept_partial: bool = False
    ) -> Configuration:
        """As dlt resolves it, from then on a copy of that."""
        resolved = self.__dict__.setdefault("_resolved", {})
        given = initial_config
        asked = (
            *(given.bucket_url, given.dataset_name, given.default_schema_name),
            accept_partial,
        )
        if asked not in resolved:
            resolved[asked] = super().configuration(initial_config, accept_partial)
        found: Configuration = copy.copy(resolved[asked])
        return found
