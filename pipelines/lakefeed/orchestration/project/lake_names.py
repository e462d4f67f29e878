"""What tables are called in the lake, where `init` has to choose."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from lakefeed.declaration.tables import LONGEST_LAKE_NAME, default_name


def names_in_lake(source: str, tables: Sequence[str]) -> Iterator[str | None]:
    """A `name` for each table whose own would be another's in the lake; None for all others."""
    defaults = {table: default_name(source, table) for table in tables}
    # A table that is called as its name in the lake keeps it.
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
    """One in the letters that `name` allows, with a number."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"\W+", "_", plain).strip("_").lower()
    plain = plain if re.match("[a-z]", plain) else f"table_{plain}".rstrip("_")
    plain = plain[: LONGEST_LAKE_NAME - len(f"{source}__") - len("_9999")]
    number = 2
    while (free := f"{plain}_{number}") in taken:
        number += 1
    return free


def _folded(name: str) -> str:
    """One spelling for names that some file systems can't tell apart."""
    return unicodedata.normalize("NFKC", name).casefold()
