"""Paths into JSON documents, as the keys of `flatten` in `sources.yaml`.

Keys of objects are separated by dots, `address.city`; one with a dot, a bracket or a quote stands
in quotes, which are doubled in it: `"a.b".c`. `[0]` is the first element of an array.
"""

from __future__ import annotations

import re
from typing import Any

_KEY = r'"(?P<quoted>(?:[^"]|"")*)"|(?P<bare>[^."\[\]]+)'
_POSITION = r"\[(?P<position>0|[1-9]\d*)\]"
_FIRST = re.compile(f"{_KEY}|{_POSITION}")
_LATER = re.compile(rf"\.(?:{_KEY})|{_POSITION}")
# What dbt can't quote in the name of a column (plan/column_names.py).
_UNQUOTABLE = re.compile(r'["\r\n]')


def steps_of(path: str) -> tuple[str, ...]:
    """The keys and positions that a path leads through, in order.

    Raises:
        ValueError: says how paths are written.
    """
    steps: list[str] = []
    rest = path
    while rest:
        found = (_FIRST if not steps else _LATER).match(rest)
        if not found:
            raise ValueError(_SYNTAX)
        quoted = found["quoted"]
        steps.append(
            quoted.replace('""', '"') if quoted is not None else found["position"] or found["bare"]
        )
        rest = rest[found.end() :]
    if not steps:
        raise ValueError(_SYNTAX)
    return tuple(steps)


_SYNTAX = (
    "keys separated by dots, such as address.city; positions in brackets, such as items[0]; and a "
    "key with a dot, bracket or quote in double quotes, such as '\"a.b\".c'"
)


def flattened_name(column: str, path: str) -> str:
    """The name of the column that is taken from `column` by a path: `payload__address__city`."""
    return "__".join([column, *(_UNQUOTABLE.sub("_", step) for step in steps_of(path))])


def parse_path(value: Any) -> Any:
    """Refuses keys of `flatten` that are no paths."""
    if not isinstance(value, str):
        raise ValueError(_SYNTAX)
    # YAML and SQL quote with them too, but here they would be part of the key.
    if any(re.fullmatch("'.*'", step) for step in steps_of(value) if f'"{step}"' not in value):
        raise ValueError(_SYNTAX)
    return value
