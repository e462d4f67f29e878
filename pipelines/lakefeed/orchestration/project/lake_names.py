"""Chooses names in the lake for tables whose default names collide."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from lakefeed.declaration.lake_names import LONGEST_LAKE_NAME, default_name


def names_in_lake(source: str, tables: Sequence[str]) -> Iterator[str | None]:
    """A `name` for each table whose default name is taken; None for all others."""
    defaults = {table: default_name(source, table) for table in tables}
    # A table whose own name equals its default name keeps it.
    taken = {_folded(name) for table, name in defaults.items() if name == table}
    for table, name in defaults.items():
        if name == table:
            yield None
        elif _folded(name) not in taken:
            taken.add(_folded(name))
            yield None
        else:
            free = _free_name(source, name, taken)
            taken.add(free)
            yield free


def _free_name(source: str, name: str, taken: set[str]) -> str:
    """A free name with a numeric suffix, in the characters that `name` allows."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"\W+", "_", plain).strip("_").lower()
    plain = plain if re.match("[a-z]", plain) else f"table_{plain}".rstrip("_")
    plain = plain[: LONGEST_LAKE_NAME - len(f"{source}__") - len("_9999")]
    number = 2
    while (free := f"{plain}_{number}") in taken:
        number += 1
    return free


def _folded(name: str) -> str:
    """One spelling for all names that case-insensitive or normalizing file systems confuse."""
    return unicodedata.normalize("NFKC", name).casefold()
