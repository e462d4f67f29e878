"""In which schemas dbt builds on a server: those of its models, or others that stand for them.

A build apart from the published warehouse has schemas of its own in the same place:

    marts                               of the models
    as_of_20261123t201500_marts         of the same models in a build apart
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_begins_with: list[str] = []


@contextmanager
def schemas_begin_with(prefix: str) -> Iterator[None]:
    """Makes all that dbt builds in this process stand in schemas whose names begin so."""
    _begins_with.append(prefix)
    try:
        yield
    finally:
        _begins_with.pop()


def schema_standing_for(schema: str) -> str:
    """The schema of the catalog that stands for this one of dbt's."""
    return f"{_prefix()}{schema}"


def schemas_stood_for(present: list[str]) -> list[str]:
    """The schemas of dbt's for which these of the catalog stand."""
    prefix = _prefix()
    return [name.removeprefix(prefix) for name in present if name.startswith(prefix)]


def _prefix() -> str:
    return _begins_with[-1] if _begins_with else ""
