"""Caches pure functions of dlt that it calls repeatedly with the same arguments.

Calls per table and share of the load time, measured with dlt 1.31 over 50 small tables:

- the type hints of a typed dict (44 calls, 4%); dlt's own comment says "very slow and we possibly
  should cache the result";
- the JSON path parser, rebuilt for each path, which is that of the cursor (8 calls, 5%);
- the number of fields of a configuration, counted to test its truth value (240 calls, 4%);
- what a type hint says, asked for each field of each configuration (3,500 calls, 5%);
- the version of `dlthub`, a package that isn't installed, which is looked for in all of Python's
  path (3 calls, 2%).

If dlt stops calling these functions, loads are as slow as without the cache but still correct
(tests/unit/loading/test_dlt.py). Remove a patch once dlt caches the result itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from dlt.common import jsonpath, validation
from dlt.common.configuration import resolve
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.runtime import exec_info

_HINTS = "get_type_hints"
_PARSE = "_parse"
_COUNT = "__len__"
_OF_HINTS = (
    "extract_inner_hint",
    "get_all_types_of_class_in_union",
    "is_base_configuration_inner_hint",
    "is_context_inner_hint",
    "is_hint_not_resolvable",
    "is_optional_type",
    "is_secret_hint",
    "is_union_type",
)
_PACKAGE = "get_dlthub_version"


def cache_pure_functions() -> None:
    """Replaces these functions in dlt's modules with cached ones, for this process."""
    hints_of = getattr(validation, _HINTS)
    hints: dict[type, dict[str, Any]] = {}

    def cached_hints(spec: type, **namespaces: Any) -> dict[str, Any]:
        # The namespaces are always those of the module that defines `spec`.
        if spec not in hints:
            hints[spec] = hints_of(spec, **namespaces)
        return hints[spec]

    count = getattr(BaseConfiguration, _COUNT)
    counts: dict[type, int] = {}

    def cached_count(configuration: BaseConfiguration) -> int:
        # All instances of a class have the same fields.
        kind = type(configuration)
        if kind not in counts:
            counts[kind] = count(configuration)
        return counts[kind]

    setattr(exec_info, _PACKAGE, cache(getattr(exec_info, _PACKAGE)))
    for name in _OF_HINTS:
        setattr(resolve, name, _cached(getattr(resolve, name)))
    setattr(validation, _HINTS, cached_hints)
    setattr(BaseConfiguration, _COUNT, cached_count)
    setattr(jsonpath, _PARSE, lru_cache(getattr(jsonpath, _PARSE)))


def _cached(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with a cache; it still takes hints that can't be hashed, as other code may."""
    cached = lru_cache(maxsize=None)(function)

    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return cached(*arguments, **options)
        except TypeError:
            return function(*arguments, **options)

    return call
