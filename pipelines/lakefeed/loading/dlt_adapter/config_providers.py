"""dlt's settings, asked for only where there may be some.

For each field of each of its configurations dlt asks every provider under every combination of
sections: 1,500 times a table, 75,000 times for fifty small ones, which was a fifth of what loading
them cost. Nearly all of these fields are set nowhere.
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


class SparingRunContext(ProjectRunContext):
    """The project's run context while we load; plain `dlt` keeps its own providers."""

    def initial_providers(self) -> list[ConfigProvider]:
        return [Sparing(provider) for provider in super().initial_providers()]


class Sparing(ConfigProvider):
    """A provider that is asked only for fields whose names it held when this was made.

    It answers for secrets itself: dlt would else examine the type of each field, for each
    combination of sections, in case a value were found where no secret may be.
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
            # Only ever shown, by dlt's error for a setting that is missing.
            return None, "__".join((*sections, key)).upper()
        value, path = self._provider.get_value(key, hint, pipeline_name, *sections)
        if value is not None and not self._provider.supports_secrets and is_secret_hint(hint):
            raise ValueNotSecretException(self.name, path)
        return value, path

    def get_value_location(self, key: str, pipeline_name: str | None, *sections: str) -> str:
        return self._provider.get_value_location(key, pipeline_name, *sections)


def use_sparing_providers(root: Path) -> None:
    """Has dlt read its settings anew, for the project in this folder."""
    Container()[PluggableRunContext].reload(SparingRunContext(str(root)))


@dataclass(frozen=True)
class Context:
    """Where dlt looks for settings: its run context, and the providers that belong to it."""

    run: RunContextBase
    providers: ConfigProvidersContainer


def present_context() -> Context | None:
    """The context that dlt is in; None where nobody has needed one yet."""
    if PluggableRunContext not in Container():
        return None
    plugged = Container()[PluggableRunContext]
    return Context(plugged.context, plugged.providers)


def return_to(context: Context | None) -> None:
    """Has dlt be in this context again; with None, in one that it makes when it is needed.

    Nothing is looked up: with Airflow installed, providers made now would ask its database.
    """
    if context is None:
        del Container()[PluggableRunContext]
        return
    plugged = Container()[PluggableRunContext]
    plugged.context, plugged.providers = context.run, context.providers
    # dlt's log level is the process's.
    context.run.initialize_runtime(context.run.runtime_config)


def _names_in(provider: ConfigProvider) -> set[str] | None:
    """The names of all fields that it holds; None for a provider that we don't know."""
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
    """A field's name without its sections, in one spelling for all providers."""
    return key.upper().rsplit("__", 1)[-1].strip("_")
