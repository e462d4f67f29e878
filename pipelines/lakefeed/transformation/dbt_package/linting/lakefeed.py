"""What the macros of Lakefeed stand for in the eyes of sqlfluff, which runs no dbt.

`.sqlfluff` names this folder as its library. The real macros ask the warehouse and dbt's graph; to
lint a model it is enough that each call gives SQL of the right kind: a query, a condition, a value.
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


def __getattr__(name: str) -> Callable[..., str]:
    """A condition for those that are one; a value for all others."""
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *_values, **_named: "true" if name in _CONDITIONS else "'a value'"
