"""The names under which readers see the relations of a version, all in one schema."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lakefeed.errors import BuildFailed

_LEDGER = "_lakefeed"


def public_name(schema: str, name: str) -> str:
    """The public name of a relation: names of models are unique, the ledger's aren't."""
    return f"{_LEDGER}_{name}" if schema == _LEDGER else name


def refuse_ambiguous(names: Iterable[str]) -> None:
    """Checks that no two relations have the same public name.

    Raises:
        BuildFailed: two have.
    """
    twice = [name for name, number in Counter(map(str.lower, names)).items() if number > 1]
    if twice:
        raise BuildFailed(
            f"two models are named {twice[0]}, and readers see all models in one schema",
            do="give one of them another name or alias",
        )
