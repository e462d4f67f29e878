"""Skips dlt's configuration lookups for fields that aren't set anywhere.

For each field of each configuration dlt asks every provider under every combination of sections:
1,500 lookups per table, a fifth of the time to load fifty small tables (dlt 1.31). Nearly all of
these fields are never set. If dlt stops looking fields up by `resolve_single_provider_value` and
`_resolve_single_value`, loads are slower but still correct (tests/unit/loading/test_dlt.py).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from dlt.common.configuration import resolve
from dlt.common.configuration.container import Container
from dlt.common.configuration.exceptions import LookupTrace, ValueNotSecretException
from dlt.common.configuration.providers import EnvironProvider
from dlt.common.configuration.providers.doc import BaseDocProvider
from dlt.common.configuration.providers.environ import SECRET_STORAGE_PATH
from dlt.common.configuration.providers.provider import ConfigProvider
from dlt.common.configuration.specs.base_configuration import is_secret_hint
from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext, RunContextBase

from lakefeed.loading.dlt_adapter.plugin import ProjectRunContext

_LOOK_UP = "resolve_single_provider_value"
_LOOK_UP_ANYWHERE = "_resolve_single_value"
_IS_CONTEXT = "is_context_inner_hint"


class FilteringRunContext(ProjectRunContext):
    """The project's run context during loads; the `dlt` command keeps its own providers."""

    def initial_providers(self) -> list[ConfigProvider]:
        return [FilteringProvider(provider) for provider in super().initial_providers()]


class FilteringProvider(ConfigProvider):
    """A provider that tells whether it can have a field at all.

    It also checks for secrets in places that can't have them: dlt's own check would examine the
    type of each field for each combination of sections.
    """

    def __init__(self, provider: ConfigProvider) -> None:
        self._provider = provider
        self._names = None if (found := _names_in(provider)) is None else frozenset(found)

    def may_have(self, key: str) -> bool:
        """Whether a field of this name was set anywhere when this provider was created."""
        return self._names is None or _name(key) in self._names

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
        value, path = self._provider.get_value(key, hint, pipeline_name, *sections)
        if value is not None and not self._provider.supports_secrets and is_secret_hint(hint):
            raise ValueNotSecretException(self.name, path)
        return value, path

    def get_value_location(self, key: str, pipeline_name: str | None, *sections: str) -> str:
        return self._provider.get_value_location(key, pipeline_name, *sections)


def use_filtering_providers(root: Path) -> None:
    """Makes dlt read its settings again, for the project in this folder."""
    _skip_fields_that_are_nowhere()
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


@cache
def _skip_fields_that_are_nowhere() -> None:
    """Has dlt ask a provider about a field only if it may have it, for this process."""
    look_up = getattr(resolve, _LOOK_UP)

    def look_up_known(
        provider: ConfigProvider, key: str, *args: Any, **kwargs: Any
    ) -> tuple[Any, list[LookupTrace]]:
        if _lacks(provider, key):
            return None, [_not_found(provider, key)]
        found: tuple[Any, list[LookupTrace]] = look_up(provider, key, *args, **kwargs)
        return found

    setattr(resolve, _LOOK_UP, look_up_known)
    look_up_anywhere = getattr(resolve, _LOOK_UP_ANYWHERE)

    def look_up_where_known(
        key: str, hint: Any, inner_hint: Any, *sections: Any
    ) -> tuple[Any, list[LookupTrace]]:
        providers = Container()[PluggableRunContext].providers.providers
        is_nowhere = all(_lacks(provider, key) for provider in providers)
        # dlt doesn't ask these providers for its contexts.
        if is_nowhere and not getattr(resolve, _IS_CONTEXT)(inner_hint):
            return None, [_not_found(one, key) for one in providers if not one.is_empty]
        found: tuple[Any, list[LookupTrace]] = look_up_anywhere(key, hint, inner_hint, *sections)
        return found

    setattr(resolve, _LOOK_UP_ANYWHERE, look_up_where_known)


def _lacks(provider: ConfigProvider, key: str) -> bool:
    return isinstance(provider, FilteringProvider) and not provider.may_have(key)


def _not_found(provider: ConfigProvider, key: str) -> LookupTrace:
    """What dlt names in its error message for a missing setting."""
    return LookupTrace(provider.name, [], key.upper(), None)


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
