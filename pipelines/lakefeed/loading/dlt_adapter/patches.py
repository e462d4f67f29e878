"""What dlt derives from the same input again and again, derived once.

Three functions that depend on nothing but their argument are replaced by remembering ones. Measured
over 50 small tables, in the share of what loading them costs:

- the hints of a typed dict (44 times a table, 4 %): dlt's own comment on the call has "very slow
  and we possibly should cache the result";
- the parser of JSON paths, built anew for each path, which is our cursor's (8 times a table, 5 %);
- how many fields a configuration has, counted to tell whether it is there (240 times, 4 %).

Should dlt call others instead, it is as slow again and as right (tests/unit/loading/test_dlt.py).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from dlt.common import jsonpath, validation
from dlt.common.configuration.specs import BaseConfiguration

_HINTS = "get_type_hints"
_PARSE = "_parse"
_COUNT = "__len__"


def remember_derived() -> None:
    """Side effect: replaces these three in dlt's modules, once in this process."""
    hints_of = getattr(validation, _HINTS)
    hints: dict[type, dict[str, Any]] = {}

    def remembered_hints(spec: type, **namespaces: Any) -> dict[str, Any]:
        # The namespaces are those of the module that defines it.
        if spec not in hints:
            hints[spec] = hints_of(spec, **namespaces)
        return hints[spec]

    count = getattr(BaseConfiguration, _COUNT)
    counts: dict[type, int] = {}

    def remembered_count(configuration: BaseConfiguration) -> int:
        # Fields belong to the class.
        kind = type(configuration)
        if kind not in counts:
            counts[kind] = count(configuration)
        return counts[kind]

    setattr(validation, _HINTS, remembered_hints)
    setattr(BaseConfiguration, _COUNT, remembered_count)
    setattr(jsonpath, _PARSE, lru_cache(getattr(jsonpath, _PARSE)))
