"""Stand-ins for Lakefeed's macros, with which sqlfluff lints models without running dbt.

`.sqlfluff` names this folder as its library. The real macros query the warehouse and dbt's graph.
For linting, it is enough that each call returns SQL of the right kind: a query, condition or value.
"""

from __future__ import annotations

from collections.abc import Callable

_CONDITIONS = ("staged_since_last_build", "member_changed_since_last_build", "valid_at")


def staging(raw_table: object, **_arguments: object) -> str:
    """A query."""
    return f"select * from {raw_table}"


def history(raw_table: object, **_arguments: object) -> str:
    """A query."""
    return f"select * from {raw_table}"


def merged_versions(relation: str, **_arguments: object) -> str:
    """A query."""
    return f"select * from {relation}"


def join_version(versions: str, member: dict[str, str], _at: str) -> str:
    """A join."""
    conditions = " and ".join(f"{versions}.{name} = {value}" for name, value in member.items())
    return f"left join {versions} on {conditions}"


def __getattr__(name: str) -> Callable[..., str]:
    """Every other macro: a condition or a value."""
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *_values, **_named: "true" if name in _CONDITIONS else "'a value'"
