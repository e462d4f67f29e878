"""Replaces three slow functions of dbt and its libraries, for this process, with the same results.

- dbt writes its artifacts by `json.dump`, which encodes in Python what `json.dumps` encodes in C.
- agate builds a date parser with all its patterns for each type of each query result.
- dbt finds the module that a behavior flag belongs to by `inspect.getmodule`, which looks at all
  modules of the process.

If dbt stops calling these functions, builds are as slow as without the patches but still correct
(tests/unit/transformation/test_dbt_patches.py). Remove a patch once dbt is as fast by itself.
"""

from __future__ import annotations

import json
import sys
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, TextIO

_JSON = "json"
_CONSTANTS = "Constants"
_SOURCE = "_default_source"


def speed_up_dbt() -> None:
    """Patches dbt's modules; does nothing the second time."""
    import parsedatetime  # type: ignore[import-untyped]
    from dbt_common import behavior_flags
    from dbt_common.clients import system

    if isinstance(getattr(system, _JSON), SimpleNamespace):
        return
    setattr(system, _JSON, SimpleNamespace(**{**vars(json), "dump": _dump}))
    setattr(parsedatetime, _CONSTANTS, lru_cache(getattr(parsedatetime, _CONSTANTS)))
    setattr(behavior_flags.BehaviorFlagRendered, _SOURCE, staticmethod(_calling_module))


def _dump(data: object, file: TextIO, **options: Any) -> None:
    file.write(json.dumps(data, **options))


def _calling_module() -> str:
    """The name of the first module on the stack that isn't this one or dbt's own of flags."""
    frame = sys._getframe(1)
    while frame.f_back and frame.f_globals["__name__"] in (__name__, "dbt_common.behavior_flags"):
        frame = frame.f_back
    return str(frame.f_globals["__name__"])
