"""Skips dlt's configuration lookups for fields that aren't set anywhere.

For each field of each configuration dlt asks every provider under every combination of sections:
1,500 lookups per table, a fifth of the time to load fifty small tables (dlt 1.31). Nearly all of
these fields are never set.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import ValueNotSecretException
from dlt.common.configuration.providers import EnvironProvider
from dlt.common.configuration.providers.doc import BaseDocProvider
from dlt.common.configuration.providers.environ import SECRET_STORAGE_PATH
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext, RunContextBase

from lakefeed.loading.dlt_adapter.plugin import ProjectRunContext


class FilteringRunContext(ProjectRunContext):
    """The project's run context during loads; the `dlt` command keeps its own providers."""

    def initial_providers(self) -> list[ConfigProvider]:
        return [FilteringProvider(provider) for provider in super().initial_providers()]


class FilteringProvider(ConfigProvider):
    """Asks the wrapped provider only for field names that it had when this was created.

    It also checks for secrets in places that can't have them: dlt's own check would examine the
    type of each field for each combination of sections.
    """

    def __init__(self, provider: ConfigProvider) -> None:
        self._provider = provider
        self._names = None if (found := _names_in(provider)) is None else frozenset(found)

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def supports_secrets(self) -> bool:
        return True

    @property
    def supports_sections(self) -> bool:
        return self._provider.supports_sections

    @property
    def is_empty(self) -> bool:
        return self._provider.is_empty

    @property
    def locations(self) -> Any:
        return self._provider.locations

    @property
    def present_locations(self) -> Any:
        return self._provider.present_locations

    def get_value(
        self, key: str, hint: type[Any], pipeline_name: str | None, *sections: str
    ) -> tuple[Any, str]:
        if self._names is not None and _name(key) not in self._names:
            # dlt uses this path only in its error message for a missing setting.
            return None, "__".join((*sections, key)).upper()
        value, path = self._provider.get_value(key, hint, pipeline_name, *sections)
        if value is not None and not self._provider.supports_secrets and is_secret_hint(hint):
            raise ValueNotSecretException(self.name, path)
        return value, path

    def get_value_location(self, key: str, pipeline_name: str | None, *sections: str) -> str:
        return self._provider.get_value_location(key, pipeline_name, *sections)


def use_filtering_providers(root: Path) -> None:
    """Makes dlt read its settings again, for the project in this folder."""
    Container()[PluggableRunContext].reload(FilteringRunContext(str(root)))


@dataclass(frozen=True)
class Context:
    """dlt's run context and its configuration providers."""

    run: RunContextBase
    providers: ConfigProvidersContainer


def present_context() -> Context | None:
    """dlt's current context; None if nothing has needed one yet."""
    if PluggableRunContext not in Container():
        return None
    plugged = Container()[PluggableRunContext]
    return Context(plugged.context, plugged.providers)


def restore_dlt_context(context: Context | None) -> None:
    """Restores dlt's context; with None, dlt creates one when it needs it.

    No setting is looked up: with Airflow installed, new providers would query its database.
    """
    if context is None:
        del Container()[PluggableRunContext]
        return
    plugged = Container()[PluggableRunContext]
    plugged.context, plugged.providers = context.run, context.providers
    # dlt's log level belongs to the process.
    context.run.initialize_runtime(context.run.runtime_config)


def _names_in(provider: ConfigProvider) -> set[str] | None:
    """The names of all fields that a provider has; None for an unknown kind of provider."""
    if isinstance(provider, EnvironProvider):
        mounted = Path(SECRET_STORAGE_PATH % "")
        secrets = mounted.iterdir() if mounted.is_dir() else []
        return {_name(key) for key in (*os.environ, *(s.name.replace("-", "_") for s in secrets))}
    if isinstance(provider, BaseDocProvider):
        return set(_names_below(tomllib.loads(provider.to_toml())))
    return None


def _names_below(table: dict[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        yield _name(key)
        if isinstance(value, dict):
            yield from _names_below(value)


@cache
def _name(key: str) -> str:
    """A field's name without its sections, normalized across providers."""
    return key.upper().rsplit("__", 1)[-1].strip("_")
