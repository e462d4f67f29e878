"""Caches three pure functions of dlt that it calls repeatedly with the same arguments.

Calls per table and share of the load time, measured with dlt 1.31 over 50 small tables:

- the type hints of a typed dict (44 calls, 4%); dlt's own comment says "very slow and we possibly
  should cache the result";
- the JSON path parser, rebuilt for each path, which is that of the cursor (8 calls, 5%);
- the number of fields of a configuration, counted to test its truth value (240 calls, 4%).

If dlt stops calling these functions, loads are as slow as without the cache but still correct
(tests/unit/loading/test_dlt.py). Remove a patch once dlt caches the result itself.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from dlt.common import jsonpath, validation
from dlt.common.configuration.specs import BaseConfiguration

_HINTS = "get_type_hints"
_PARSE = "_parse"
_COUNT = "__len__"


def cache_pure_functions() -> None:
    """Replaces the three functions in dlt's modules with cached ones, for this process."""
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

    setattr(validation, _HINTS, cached_hints)
    setattr(BaseConfiguration, _COUNT, cached_count)
    setattr(jsonpath, _PARSE, lru_cache(getattr(jsonpath, _PARSE)))
