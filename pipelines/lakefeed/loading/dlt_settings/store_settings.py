"""dlt's settings of an object store: credentials, endpoint, options, wherever dlt finds them.

    [destination.filesystem.credentials]     in .dlt/secrets.toml, or as environment variables:
    aws_access_key_id = "…"                  DESTINATION__FILESYSTEM__CREDENTIALS__AWS_ACCESS_KEY_ID

Without any, the store's own: `AWS_*`, profiles, roles, metadata services. Everything that reaches
the store is made from these settings, so that no two parts of a run can differ.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from lakefeed.declaration.project import Location
from lakefeed.errors import DeclarationError
from lakefeed.loading.dlt_settings.environment import prepare_dlt
from lakefeed.loading.dlt_settings.schemes import scheme_of

if TYPE_CHECKING:
    from dlt.common.storages.configuration import FilesystemConfiguration as Settings


@dataclass(frozen=True)
class _Resolved:
    """Settings, and what they were resolved from."""

    made_from: tuple[Any, ...]
    settings: Settings


# Of each kind of store, the variable to begin with.
_VARIABLES = {
    "s3": "AWS_ACCESS_KEY_ID",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "DESTINATION__FILESYSTEM__CREDENTIALS__AZURE_STORAGE_ACCOUNT_NAME",
}

_lock = Lock()
_latest: dict[Location, _Resolved] = {}


def store_settings(place: Location) -> Settings:
    """dlt's settings for an object store, resolved again if the environment has changed.

    Raises:
        DeclarationError: no credentials were found.
    """
    with _lock:
        latest = _latest.get(place)
        if latest is None or latest.made_from != _surroundings():
            prepare_dlt(place.root)
            settings = _resolved(place)
            # After `prepare_dlt` has set its variables.
            latest = _latest[place] = _Resolved(_surroundings(), settings)
        return latest.settings


def _surroundings() -> tuple[Any, ...]:
    # Those of dbt change when it begins and when it ends, and say nothing of a store.
    others = {name: value for name, value in os.environ.items() if not name.startswith("DBT_")}
    return os.getpid(), others


def _resolved(place: Location) -> Settings:
    from dlt.common.configuration.exceptions import ConfigurationException
    from dlt.common.configuration.resolve import resolve_configuration
    from dlt.common.storages.configuration import FilesystemConfiguration

    settings = FilesystemConfiguration(bucket_url=place.url)
    try:
        with _providers_of(place):
            return resolve_configuration(settings, sections=("destination", "filesystem"))
    except ConfigurationException as error:
        variable = _VARIABLES[scheme_of(place) or "s3"]
        raise DeclarationError(
            f"no credentials for {place.url} were found ({type(error).__name__})",
            where="sources.yaml",
            do="set them as docs/object-store.md says: `destination.filesystem.credentials` in "
            f".dlt/secrets.toml, or the variables of the store, such as {variable}",
        ) from error


@contextmanager
def _providers_of(place: Location) -> Iterator[None]:
    """Has dlt look for settings in this project, and puts back what it had before."""
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
    from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
    from dlt.common.runtime.run_context import RunContext

    container = Container()
    is_known = PluggableRunContext in container
    plugged = container[PluggableRunContext]
    before = plugged.providers
    plugged.providers = ConfigProvidersContainer(RunContext(str(place.root)).initial_providers())
    try:
        yield
    finally:
        plugged.providers = before
        if not is_known:
            del container[PluggableRunContext]
